import type { Prediction } from "../../lib/types";

/** A prediction as a chart shows it. */
export interface Said {
  /** Seconds since the epoch. */
  at: number;
  position: number;
  confidence: number;
  /** What a person set instead; null: nobody did. */
  actual: number | null;
}

/** Predictions that said a position, oldest first. */
export function saidOf(predictions: Prediction[]): Said[] {
  return predictions
    .flatMap((one) =>
      one.position === null
        ? []
        : [
            {
              at: Date.parse(one.at) / 1000,
              position: one.position,
              confidence: one.confidence ?? 0,
              actual: one.actual,
            },
          ],
    )
    .sort((a, b) => a.at - b.at);
}

/** As solid as it was sure, and never so faint that it is lost. */
export function solidity(confidence: number): number {
  return 0.2 + 0.8 * Math.min(1, Math.max(0, confidence));
}

/** The prediction nearest to `at`, unless the nearest is further away than `withinS`. */
export function saidNear(said: Said[], at: number, withinS: number): Said | null {
  let best: Said | null = null;
  for (const one of said) if (Math.abs(one.at - at) <= Math.abs((best?.at ?? Infinity) - at)) best = one;
  return best !== null && Math.abs(best.at - at) <= withinS ? best : null;
}
