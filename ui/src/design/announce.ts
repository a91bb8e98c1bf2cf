/** One polite live region for the whole page: what changed, said once, to those who do not see it change. */
let region: HTMLElement | undefined;
let last = "";

export function announce(text: string): void {
  if (typeof document === "undefined") return;
  if (!region) {
    region = document.createElement("div");
    region.setAttribute("role", "status");
    region.setAttribute("aria-live", "polite");
    region.className = "sr-only";
    document.body.append(region);
  }
  // The same words twice in a row are read again only if the text differs.
  last = text === last ? `${text}\u00a0` : text;
  region.textContent = last;
}
