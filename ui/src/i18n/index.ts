import { en } from "./en";

/** The shape every language fills in. A missing or misspelt entry does not compile. */
export type Strings = typeof en;

// Romanian goes here: { en, ro }, once someone has written it.
const tables: Record<string, Strings> = { en };

function pick(): Strings {
  const wanted = typeof navigator === "undefined" ? [] : navigator.languages;
  for (const tag of wanted) {
    const table = tables[tag.slice(0, 2).toLowerCase()];
    if (table) return table;
  }
  return en;
}

export const t: Strings = pick();
