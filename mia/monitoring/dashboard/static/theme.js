// Before the first paint: the theme that was chosen, or that of the system.
(() => {
  const chosen = localStorage.getItem("mia-theme");
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = chosen || (dark ? "dark" : "light");
})();
