// Loaded before anything is painted, so that a chosen theme does not flash up late. A classic script for that reason.
{
  const theme = localStorage.getItem("maestro.theme");
  if (theme) document.documentElement.dataset.theme = theme;
}
