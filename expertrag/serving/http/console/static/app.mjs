// The frame around the views: which one is shown, the collection, the theme, the token.
import { get } from "./api.mjs";
import { Ask } from "./ask.mjs";
import { Document } from "./document.mjs";
import { Experts } from "./experts.mjs";
import { Component, createRef, html, render } from "./html.mjs";
import { Learn } from "./learn.mjs";
import { linkTo, route } from "./links.mjs";
import { setTheme, state, stop, subscribe, update } from "./state.mjs";
import { Store } from "./store.mjs";
import { TokenDialog } from "./token.mjs";
import { Why } from "./why.mjs";

// without a prototype: an address may name what every object has, such as its constructor
const VIEWS = { __proto__: null, "": ["Ask", Ask], why: ["Why", Why], store: ["Store", Store], experts: ["Experts", Experts], learn: ["Learn", Learn] };
const HALF = "M8 2a6 6 0 0 1 0 12z";
const DISC = "M8 2a6 6 0 0 1 0 12A6 6 0 0 1 8 2z";
const THEMES = { auto: "light", light: "dark", dark: "auto" };

async function connect() {
  try {
    const { server, writes } = await get("info"); // alone: only one call opens the token's field
    const { collections } = await get("collections");
    const names = collections.map((each) => each.name);
    const known = names.includes(state.collection) ? state.collection : "";
    const first = names.includes("default") ? "default" : names[0] || "";
    update({ info: server, writes, collections: names, collection: known || first, problem: null });
  } catch (problem) {
    update({ problem });
  }
}

class App extends Component {
  state = { route: route() };
  main = createRef();
  places = new Map();

  componentDidMount() {
    subscribe(() => this.forceUpdate());
    addEventListener("hashchange", this.moved);
    addEventListener("keydown", this.key);
    connect();
  }

  moved = () => {
    const now = route();
    const { view } = this.state.route;
    if (view !== now.view) this.places.set(view, scrollY);
    this.setState({ route: now }, () => {
      if (view === now.view) return;
      scrollTo(0, now.view === "document" ? 0 : this.places.get(now.view) || 0);
      this.main.current.querySelector("h1")?.focus({ preventScroll: true });
    });
  };

  key = (event) => {
    if (event.key === "Escape" && !state.tokenAsked) stop();
    if (event.key === "Enter" && !event.defaultPrevented && (event.ctrlKey || event.metaKey)) event.target.form?.requestSubmit();
  };

  render(_, { route: { view, fields } }) {
    const [name, View] = view === "document" ? ["Document", Document] : VIEWS[view] || VIEWS[""];
    document.title = `${name} · ExpertRAG`;
    return html`<div class="app">
      <a class="skip" href="#main" onClick=${(event) => {
        event.preventDefault();
        this.main.current.focus();
      }}>Skip to the content</a>
      <${Header} view=${view} />
      <main id="main" ref=${this.main} tabindex="-1">
        ${state.problem &&
        html`<p class="warning banner" role="alert">
          ${state.problem.message} <button type="button" class="link" onClick=${connect}>Try again</button>
        </p>`}
        ${state.info && html`<${View} key=${view} fields=${fields} />`}
      </main>
      <${TokenDialog} onToken=${connect} />
    </div>`;
  }
}

function Header({ view }) {
  const { info, collections, collection, theme } = state;
  return html`<header>
    <a class="brand" href="#/">ExpertRAG</a>
    <nav aria-label="Views">
      ${Object.entries(VIEWS).map(
        ([path, [name]]) => html`<a key=${path} href=${linkTo(path)} aria-current=${path === view ? "page" : null}>${name}</a>`,
      )}
    </nav>
    <div class="tools">
      ${info && info.problems.length > 0 && html`<a class="problem" href="#/store">degraded</a>`}
      ${collections.length > 1 &&
      html`<label class="collection"
        ><span class="hidden">Collection</span>
        <select value=${collection} onChange=${(event) => update({ collection: event.target.value })}>
          ${collections.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}
        </select>
      </label>`}
      <button
        type="button"
        class="quiet icon"
        title="Colours: ${theme}"
        aria-label="Colours: ${theme}; change to ${THEMES[theme]}"
        onClick=${() => setTheme(THEMES[theme])}
      >
        <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
          <circle cx="8" cy="8" r="6" />
          ${theme !== "light" && html`<path class="half" d=${theme === "dark" ? DISC : HALF} />`}
        </svg>
      </button>
      <button type="button" class="quiet" onClick=${() => update({ tokenAsked: true })}>Token</button>
    </div>
  </header>`;
}

const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);
