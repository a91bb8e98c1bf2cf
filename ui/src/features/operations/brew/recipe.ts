import { formatTyped, limitFault } from "../../../design/limits";
import { parseNumber } from "../../../lib/number";
import type { Capsule, JsonObject, Limit } from "../../../lib/types";

/** What a person has put together so far: texts as typed, by field. */
export interface Draft {
  capsule: Capsule | undefined;
  texts: Record<string, string>;
  /** Fields someone typed in: those are never overwritten by a guidance value. */
  touched: ReadonlySet<string>;
  forApproval: boolean;
}

export function firstDraft(capsule: Capsule | undefined): Draft {
  return { capsule, texts: {}, touched: new Set(), forApproval: false };
}

/** What a field shows: what was typed, else the capsule's guidance, else the kind's preset. */
export function textOf(draft: Draft, limit: Limit): string {
  const typed = draft.texts[limit.field];
  if (typed !== undefined && draft.touched.has(limit.field)) return typed;
  const guidance = limit.field === "volume_ml" ? draft.capsule?.volume_ml : undefined;
  return formatTyped(guidance ?? limit.preset);
}

export function typed(draft: Draft, field: string, text: string): Draft {
  return { ...draft, texts: { ...draft.texts, [field]: text }, touched: new Set([...draft.touched, field]) };
}

export function untyped(draft: Draft, field: string): Draft {
  const touched = new Set(draft.touched);
  touched.delete(field);
  return { ...draft, touched };
}

export function faultyFields(draft: Draft, limits: Limit[]): Limit[] {
  return limits.filter((limit) => limitFault(textOf(draft, limit), limit) !== null);
}

/** The numbers to send, or null while one of them is not one. */
export function recipeFrom(draft: Draft, limits: Limit[]): JsonObject | null {
  const recipe: JsonObject = {};
  for (const limit of limits) {
    const text = textOf(draft, limit);
    const value = parseNumber(text);
    if (value === null || limitFault(text, limit) !== null) return null;
    recipe[limit.field] = value;
  }
  if (draft.capsule) {
    recipe["capsule_type"] = draft.capsule.capsule_type;
    recipe["capsule_variant"] = draft.capsule.variant;
  }
  return recipe;
}
