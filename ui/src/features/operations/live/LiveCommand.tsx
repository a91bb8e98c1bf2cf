import type { Command } from "../../../lib/types";
import { LiveBrew } from "./LiveBrew";
import { LiveMove } from "./LiveMove";

/** A command as its kind of machine is best looked at. */
export function LiveCommand({ command }: { command: Command }) {
  return command.kind === "espresso" ? <LiveBrew command={command} /> : <LiveMove command={command} />;
}
