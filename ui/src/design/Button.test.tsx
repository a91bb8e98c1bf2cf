import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Button, HOLD_MS, HoldButton } from "./Button";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

const later = (ms: number): void => {
  act(() => {
    vi.advanceTimersByTime(ms);
  });
};
const button = () => screen.getByRole("button");

function show(props: Partial<Parameters<typeof HoldButton>[0]> = {}) {
  const onHeld = vi.fn();
  render(
    <HoldButton onHeld={onHeld} {...props}>
      Hold to brew
    </HoldButton>,
  );
  return onHeld;
}

test("held long enough by pointer, it acts once", () => {
  const onHeld = show();
  fireEvent.pointerDown(button(), { button: 0 });
  later(HOLD_MS - 1);
  expect(onHeld).not.toHaveBeenCalled();
  later(1);
  expect(onHeld).toHaveBeenCalledOnce();
  later(5 * HOLD_MS);
  fireEvent.pointerUp(button());
  expect(onHeld).toHaveBeenCalledOnce();
});

test.each([
  ["up", fireEvent.pointerUp],
  ["away", fireEvent.pointerLeave],
  ["cancelled", fireEvent.pointerCancel],
  ["losing focus", fireEvent.blur],
])("let go early (%s), nothing is sent, and it says so", (_, letGo) => {
  const onHeld = show();
  fireEvent.pointerDown(button(), { button: 0 });
  later(HOLD_MS - 50);
  letGo(button());
  later(HOLD_MS);
  expect(onHeld).not.toHaveBeenCalled();
  expect(screen.getAllByText(/too early/i).length).toBeGreaterThan(0);
});

test.each([" ", "Enter"])("held by key %j, auto-repeat included, it acts once", (key) => {
  const onHeld = show();
  fireEvent.keyDown(button(), { key });
  for (let i = 0; i < 30; i++) {
    later(30);
    fireEvent.keyDown(button(), { key, repeat: true });
  }
  expect(onHeld).toHaveBeenCalledOnce();
});

test("a key tapped does nothing", () => {
  const onHeld = show();
  fireEvent.keyDown(button(), { key: "Enter" });
  fireEvent.keyUp(button(), { key: "Enter" });
  later(HOLD_MS * 2);
  expect(onHeld).not.toHaveBeenCalled();
});

test("a pointer's click alone does nothing", () => {
  const onHeld = show();
  fireEvent.click(button(), { detail: 1 });
  fireEvent.click(button(), { detail: 1 });
  expect(onHeld).not.toHaveBeenCalled();
});

test("who can only click confirms with a second click, within five seconds", () => {
  const onHeld = show();
  fireEvent.click(button(), { detail: 0 });
  expect(onHeld).not.toHaveBeenCalled();
  expect(button().textContent).toMatch(/again/);
  later(5_001);
  fireEvent.click(button(), { detail: 0 });
  expect(onHeld).not.toHaveBeenCalled();
  fireEvent.click(button(), { detail: 0 });
  expect(onHeld).toHaveBeenCalledOnce();
});

test("what is gone from the page fires no more", () => {
  const onHeld = show();
  fireEvent.pointerDown(button(), { button: 0 });
  cleanup();
  later(HOLD_MS * 2);
  expect(onHeld).not.toHaveBeenCalled();
});

test("disabled, it says why, can be focused, and does not act", () => {
  const onHeld = show({ why: "No cup" });
  expect(button().getAttribute("aria-disabled")).toBe("true");
  expect(document.getElementById(button().getAttribute("aria-describedby") ?? "")?.textContent).toBe("No cup");
  fireEvent.pointerDown(button(), { button: 0 });
  later(HOLD_MS * 2);
  fireEvent.click(button(), { detail: 0 });
  fireEvent.click(button(), { detail: 0 });
  expect(onHeld).not.toHaveBeenCalled();
});

test("a plain button with a reason neither acts nor submits its form", () => {
  const onClick = vi.fn();
  const onSubmit = vi.fn();
  render(
    <form onSubmit={onSubmit}>
      <Button type="submit" why="Say what you saw" onClick={onClick}>
        Put on record
      </Button>
    </form>,
  );
  fireEvent.click(button());
  expect(onClick).not.toHaveBeenCalled();
  expect(onSubmit).not.toHaveBeenCalled();
  expect(screen.getByText("Say what you saw")).toBeTruthy();
});
