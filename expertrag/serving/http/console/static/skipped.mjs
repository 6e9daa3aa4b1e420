// What was skipped when the sources of a store were last read, why, and what to do about it.
import { post } from "./api.mjs";
import { Component, html } from "./html.mjs";
import { state } from "./state.mjs";
import { several, shown } from "./text.mjs";

export class Skipped extends Component {
  state = { files: [], total: 0, next: "", error: null };

  componentDidMount() {
    this.list();
  }

  list = async (token = "") => {
    try {
      const page = await post("documents/skipped", { page_token: token, collection: state.collection });
      const before = token ? this.state.files : [];
      this.setState({ files: [...before, ...page.files], total: page.total, next: page.next_page_token, error: null });
    } catch (error) {
      this.setState({ error });
    }
  };

  render(_, { files, total, next, error }) {
    return html`<section aria-label="Skipped files" class="skipped-files">
      <h2>Skipped files</h2>
      ${error && html`<p class="warning" role="alert">${error.message}</p>`}
      ${!error && html`<p class="muted">${total ? several(total, "message") : "Nothing was skipped when the sources were last read."}</p>`}
      ${total > 0 && html`<${Rows} files=${files} />`}
      ${next && html`<button type="button" class="quiet wide" onClick=${() => this.list(next)}>More skipped files</button>`}
    </section>`;
  }
}

function Rows({ files }) {
  return html`<div class="scrolled" tabindex="0" role="region" aria-label="List of skipped files">
    <table class="doc-table">
      <thead>
        <tr>
          <th scope="col">File</th>
          <th scope="col">Kind</th>
          <th scope="col">Reason</th>
          <th scope="col">What to do</th>
        </tr>
      </thead>
      <tbody>
        ${files.map(
          (file, place) => html`<tr key=${place}>
            <td>
              <bdi>${shown(file.source)}</bdi>
              ${file.document_id && html`<bdi class="muted id">${shown(file.document_id)}</bdi>`}
            </td>
            <td class="kind">${file.notice ? "note" : "skipped"}</td>
            <td>${shown(file.reason)}</td>
            <td>${shown(file.cure)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
