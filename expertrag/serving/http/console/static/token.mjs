// The field for a bearer token; it opens when a call is refused without one.
import { Component, createRef, html } from "./html.mjs";
import { setToken, state, update } from "./state.mjs";

export class TokenDialog extends Component {
  dialog = createRef();
  field = createRef();

  componentDidMount() {
    this.sync();
  }

  componentDidUpdate() {
    this.sync();
  }

  sync() {
    const dialog = this.dialog.current;
    if (state.tokenAsked && !dialog.open) {
      dialog.showModal();
      this.field.current.value = "";
      this.field.current.focus();
    }
    if (!state.tokenAsked && dialog.open) dialog.close();
  }

  submit = (event) => {
    event.preventDefault();
    const token = this.field.current.value.trim();
    if (!token) return;
    setToken(token);
    this.props.onToken();
  };

  forget = () => {
    setToken("");
    this.props.onToken();
  };

  render() {
    return html`<dialog ref=${this.dialog} class="token" aria-labelledby="token-title" onClose=${() => update({ tokenAsked: false })}>
      <form onSubmit=${this.submit}>
        <h2 id="token-title">Access token</h2>
        <p id="token-help">
          ${state.token ? "The server has refused the token, or you want to change it." : "For a server that wants a bearer token."}${" "}
          It is kept until this tab is closed.
        </p>
        <label for="token">Token</label>
        <input
          id="token"
          ref=${this.field}
          type="password"
          autocomplete="off"
          spellcheck=${false}
          aria-describedby="token-help"
        />
        <div class="buttons">
          ${state.token && html`<button type="button" class="quiet" onClick=${this.forget}>Forget</button>`}
          <button type="button" class="quiet" onClick=${() => update({ tokenAsked: false })}>Cancel</button>
          <button type="submit" class="primary">Use token</button>
        </div>
      </form>
    </dialog>`;
  }
}
