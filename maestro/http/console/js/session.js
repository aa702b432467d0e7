// What the browser remembers: the token for this tab, and who decides, theme and language for good.

const TOKEN = "maestro.token";
const USER = "maestro.user";
const THEME = "maestro.theme";
const LANGUAGE = "maestro.language";

export const token = () => sessionStorage.getItem(TOKEN) ?? "";
export const user = () => localStorage.getItem(USER) ?? "";
export const theme = () => localStorage.getItem(THEME) ?? "";
export const language = () => localStorage.getItem(LANGUAGE) ?? "";

export const setToken = (value) => keep(sessionStorage, TOKEN, value);
export const setUser = (value) => keep(localStorage, USER, value);
export const setLanguage = (value) => keep(localStorage, LANGUAGE, value);

/** Choose "light" or "dark"; "" follows the browser. */
export function setTheme(value) {
  keep(localStorage, THEME, value);
  if (value) document.documentElement.dataset.theme = value;
  else delete document.documentElement.dataset.theme;
}

function keep(storage, key, value) {
  if (value) storage.setItem(key, value);
  else storage.removeItem(key);
}
