// Runs before the first paint, so that a chosen theme never flashes. A file, not inline: the content policy allows 'self' only.
(function () {
  try {
    var theme = localStorage.getItem("automat.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    /* storage refused: the system's preference stands */
  }
})();
