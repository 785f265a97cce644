// A chosen theme wins over the system's; without a choice the style sheet follows the system by itself.
try {
  const chosen = localStorage.getItem("raingauge.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage can be forbidden; then the system decides.
}
