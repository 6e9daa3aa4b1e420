// What the views share. The token lives as long as the tab; the theme is kept.
const TOKEN = "expertrag.token";
const THEME = "expertrag.theme";

export const MODES = ["auto", "always", "never", "strict"];
export const DEFAULT_TEXT = "The mode that your token, the collection or the server has.";
export const MODE_TEXTS = {
  auto: "The gate decides whether the documents would help.",
  always: "The documents are always searched.",
  never: "The model answers alone, from no document.",
  strict: "From the documents, or no answer.",
};

export const state = {
  token: sessionStorage.getItem(TOKEN) || "",
  theme: localStorage.getItem(THEME) || "auto",
  collection: "",
  collections: [],
  info: null,
  writes: false,
  problem: null,
  tokenAsked: false,
  rating: true,
  mode: null, // the default
  exchanges: [],
  compared: { question: "", exchanges: [] },
  stopping: null,
};

// What goes with a token that is forgotten.
const FORGOTTEN = { exchanges: [], compared: { question: "", exchanges: [] } };

const listeners = new Set();

export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function update(patch) {
  Object.assign(state, patch);
  for (const listener of listeners) listener();
}

export function setToken(token) {
  if (token) sessionStorage.setItem(TOKEN, token);
  else sessionStorage.removeItem(TOKEN);
  update({ token, tokenAsked: false, info: null, ...(token ? {} : FORGOTTEN) });
}

export function setTheme(theme) {
  localStorage.setItem(THEME, theme);
  document.documentElement.dataset.theme = theme;
  update({ theme });
}

// Starts work that Escape and the stop button end; only one runs at a time.
export async function stoppable(work) {
  stop();
  const stopping = new AbortController();
  update({ stopping });
  try {
    return await work(stopping.signal);
  } finally {
    if (state.stopping === stopping) update({ stopping: null });
  }
}

export function stop() {
  if (state.stopping) state.stopping.abort();
}
