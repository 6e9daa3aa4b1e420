// The documents of a collection: listed, filtered, found, added, deleted.
import { post } from "./api.mjs";
import { Component, createRef, html } from "./html.mjs";
import { documentLink } from "./links.mjs";
import { Passage } from "./passages.mjs";
import { state } from "./state.mjs";
import { count, several, shown } from "./text.mjs";
import { Upload } from "./upload.mjs";

const ORDERS = { id: "by id", title: "by title", source: "by source", newest: "newest first" };

// Reads a filter: JSON, or "year: 2024, lang: en".
export function filterOf(text) {
  if (!text.trim()) return null;
  if (text.trim().startsWith("{")) return JSON.parse(text);
  const parts = text.split(",").map((part) => part.split(/:(.*)/s).map((each) => each && each.trim()));
  if (parts.some(([name, value]) => !name || !value)) throw new Error("Write a filter as domain: manual, or as JSON.");
  return Object.fromEntries(parts.map(([name, value]) => [name, scalar(value)]));
}

function scalar(text) {
  return /^(-?\d+(\.\d+)?|true|false)$/.test(text) ? JSON.parse(text) : text;
}

export class Listing extends Component {
  state = { documents: [], total: 0, next: "", found: null, chosen: new Set(), confirming: false, told: "", error: null };
  search = createRef();
  filter = createRef();
  order = createRef();

  componentDidMount() {
    this.list();
  }

  componentDidUpdate(before) {
    if (before.filter !== this.props.filter) {
      this.filter.current.value = this.props.filter;
      this.search.current.value = "";
      this.list();
    }
  }

  attempt = async (work) => {
    try {
      await work();
    } catch (error) {
      this.setState({ error, confirming: false });
    }
  };

  list = (token = "") =>
    this.attempt(async () => {
      const filter = filterOf(this.filter.current.value);
      const query = this.search.current.value.trim();
      if (query) {
        const found = await post("retrieve", { query, k: 20, filter, collection: state.collection });
        this.setState({ found: found.passages, error: null });
        return;
      }
      const order = this.order.current.value;
      const page = await post("documents/list", { filter, order, page_token: token, collection: state.collection });
      const before = token ? this.state.documents : [];
      this.setState({
        documents: [...before, ...page.documents],
        total: page.total,
        next: page.next_page_token,
        found: null,
        error: null,
      });
    });

  submit = (event) => {
    event.preventDefault();
    this.list();
  };

  choose = (id) => {
    const chosen = new Set(this.state.chosen);
    if (!chosen.delete(id)) chosen.add(id);
    this.setState({ chosen, confirming: false });
  };

  remove = () =>
    this.attempt(async () => {
      const report = await post("documents/delete", { ids: [...this.state.chosen], collection: state.collection });
      this.setState({ chosen: new Set(), confirming: false });
      this.changed(`${several(report.removed, "document")} deleted; generation ${count(report.generation)}.`);
    });

  changed = (told) => {
    this.setState({ told });
    this.props.onChanged();
    this.list();
  };

  render(_, { documents, total, next, found, chosen, confirming, told, error }) {
    return html`<section aria-label="Documents" class="listing">
      <h2>Documents</h2>
      <form class="line" onSubmit=${this.submit} role="search">
        <div class="field grow">
          <label for="find">Search</label><input id="find" ref=${this.search} type="search" dir="auto" placeholder="words of a passage" />
        </div>
        <div class="field">
          <label for="filter">Filter</label><input id="filter" ref=${this.filter} type="text" placeholder="domain: manual" />
        </div>
        <div class="field">
          <label for="order">Order</label>
          <select id="order" ref=${this.order} onChange=${() => this.list()}>
            ${Object.entries(ORDERS).map(([order, name]) => html`<option key=${order} value=${order}>${name}</option>`)}
          </select>
        </div>
        <button type="submit" class="primary">Find</button>
      </form>
      ${error && html`<p class="warning" role="alert">${error.message}</p>`}
      <p role="status" class="muted">${told || (found ? several(found.length, "passage") : several(total, "document"))}</p>
      ${state.writes && html`<${Upload} onDone=${this.changed} />`}
      ${state.writes &&
      chosen.size > 0 &&
      html`<p class="line">
        ${confirming
          ? html`<span>Delete ${several(chosen.size, "document")} for good?</span>
              <button type="button" class="danger" onClick=${this.remove}>Delete</button>
              <button type="button" class="quiet" onClick=${() => this.setState({ confirming: false })}>Keep</button>`
          : html`<button type="button" class="quiet" onClick=${() => this.setState({ confirming: true })}>
              Delete ${several(chosen.size, "document")}
            </button>`}
      </p>`}
      ${found
        ? html`<ol class="found">
            ${found.map(
              (passage, place) =>
                html`<${Passage} key=${place} passage=${passage} rank=${place + 1} collection=${state.collection} />`,
            )}
          </ol>`
        : html`<${Rows} documents=${documents} chosen=${chosen} onChoose=${this.choose} />`}
      ${!found && next && html`<button type="button" class="quiet wide" onClick=${() => this.list(next)}>More documents</button>`}
    </section>`;
  }
}

function Rows({ documents, chosen, onChoose }) {
  return html`<div class="scrolled" tabindex="0" role="region" aria-label="List of documents">
    <table class="doc-table">
      <thead>
        <tr>
          ${state.writes && html`<th scope="col"><span class="hidden">Choose</span></th>`}
          <th scope="col">Document</th>
          <th scope="col">Domain</th>
          <th scope="col">Source</th>
          <th scope="col" class="figure">Characters</th>
          <th scope="col" class="figure">Chunks</th>
        </tr>
      </thead>
      <tbody>
        ${documents.map(
          (each) => html`<tr key=${each.id}>
            ${state.writes &&
            html`<td>
              <input type="checkbox" aria-label="Choose ${each.id}" checked=${chosen.has(each.id)} onChange=${() => onChoose(each.id)} />
            </td>`}
            <td>
              <a href=${documentLink(state.collection, { document_id: each.id })}><bdi>${shown(each.title || each.id)}</bdi></a>
              ${each.title && each.title !== each.id && html`<bdi class="muted id">${shown(each.id)}</bdi>`}
            </td>
            <td>${shown(each.domain || "")}</td>
            <td class="muted"><bdi>${shown(each.source)}</bdi></td>
            <td class="figure">${count(each.characters)}</td>
            <td class="figure">${count(each.chunks)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
