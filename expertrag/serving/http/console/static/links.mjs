// Views by their addresses: #/NAME?FIELD=VALUE.
export function linkTo(view, fields = {}) {
  const known = Object.entries(fields).filter(([, value]) => value != null && value !== "");
  const query = new URLSearchParams(known).toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

export function documentLink(collection, { document_id: id, start, end, page }) {
  return linkTo("document", { id, collection, start, end, page });
}

export function route() {
  const [, view = "", query = ""] = /^#\/([a-z]*)\??(.*)$/.exec(location.hash) || [];
  return { view, fields: Object.fromEntries(new URLSearchParams(query)) };
}
