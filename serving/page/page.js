"use strict";

// The page requests calls from /v1/route, a target's request from /v1/emit, and models by images from /v1/identify.

const FACTS = ["model", "type", "base_model", "size", "prompt", "negative_prompt", "sampling_method", "scheduler", "sampling_steps", "cfg_scale", "guidance", "clip_skip", "seed", "loras", "base_checkpoint", "air"];
const state = { pictures: [], call: null, requests: 0 };
const at = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const node = Object.assign(document.createElement(tag), attributes);
  node.append(...children);
  return node;
}

function showStatus(text, isError = false) {
  at("status").textContent = text;
  at("status").classList.toggle("wrong", isError);
}

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (at("key").value) headers.Authorization = `Bearer ${at("key").value}`;
  let response;
  try {
    response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  } catch {
    throw new Error("the server does not answer: is it still running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error?.message ?? `the server answered ${response.status}`);
  return answer;
}

async function run(status, work) {
  const number = ++state.requests;
  showStatus(status);
  at("route").disabled = true;
  try {
    await work(() => number === state.requests);
  } catch (error) {
    if (number === state.requests) showStatus(error.message, true);
  } finally {
    if (number === state.requests) at("route").disabled = false;
  }
}

function requestBody(model) {
  const body = { prompt: at("prompt").value, k: Number(at("k").value) || 16 };
  if (at("negative").value) body.negative_prompt = at("negative").value;
  if (at("base").value) body.base_model = at("base").value;
  if (at("type").value) body.type = at("type").value;
  if (state.pictures.length) body.images = state.pictures.map((picture) => picture.url);
  if (model) body.model = model;
  return body;
}

function route(model) {
  return run("Routing…", async (current) => {
    const answer = await post("/v1/route", requestBody(model));
    if (!current()) return;
    if (!model) showCandidates(answer.candidates, answer.call.air);
    else mark(answer.call.air);
    showCall(answer.call);
    showWhy(answer);
    showStatus(`${answer.call.model}, in ${(answer.timings_ms.total / 1000).toFixed(2)} s`);
  });
}

function identify() {
  return run("Identifying…", async (current) => {
    const answer = await post("/v1/identify", { images: state.pictures.map((picture) => picture.url), k: 16 });
    if (!current()) return;
    showCandidates(answer.models, null);
    const best = `The most probable of ${answer.models.length}: ${answer.models[0].model}`;
    showStatus(answer.unsure ? `Unsure. ${best}` : best);
  });
}

function showCandidates(candidates, chosen) {
  const best = Math.max(...candidates.map((model) => model.score));
  at("candidates").replaceChildren(...candidates.map((model, index) => {
    const share = Math.exp(model.score);
    const use = element("button", { type: "button", textContent: "Use" });
    use.setAttribute("aria-label", `Use ${model.model}`);
    use.addEventListener("click", () => route(model.air));
    const meter = element("meter", { min: 0, max: Math.exp(best), value: share });
    meter.setAttribute("aria-label", `${(100 * share).toFixed(1)} %`);
    const item = element("li", {},
      element("span", { className: "rank", textContent: index + 1 }),
      element("span", { className: "name" }, model.model, element("span", { className: "air", textContent: model.air })),
      element("span", { className: "share", textContent: `${(100 * share).toFixed(1)} %`, title: `log-probability ${model.score}` }),
      use, meter);
    item.dataset.air = model.air;
    return item;
  }));
  at("found").hidden = false;
  mark(chosen);
}

function mark(air) {
  for (const item of at("candidates").children) {
    if (item.dataset.air === air) item.setAttribute("aria-current", "true");
    else item.removeAttribute("aria-current");
  }
}

function showCall(call) {
  state.call = call;
  const loras = call.loras.map((lora) => `${lora.model} × ${lora.weight}`).join(", ");
  const fields = { ...call, loras, size: `${call.width} × ${call.height}` };
  const rows = FACTS.filter((name) => fields[name] !== null && fields[name] !== "").map((name) => [name, fields[name]]);
  at("facts").replaceChildren(...rows.flatMap(([name, value]) =>
    [element("dt", { textContent: name.replaceAll("_", " ") }), element("dd", { textContent: value })]));
  at("json").textContent = JSON.stringify(call, null, 2);
  at("not-carried").textContent = "";
  at("answer").hidden = false;
}

function showWhy(answer) {
  const chosen = answer.candidates.find((model) => model.air === answer.call.air);
  at("page").replaceChildren(...link(chosen?.url));
  const lines = [...answer.reasons, ...answer.notes.map((note) => `Note: ${note}`)];
  at("reasons").replaceChildren(...lines.map((line) => element("li", { textContent: line })));
}

function link(url) {
  return url ? [element("a", { href: url, textContent: url, target: "_blank", rel: "noopener noreferrer" })] : [];
}

async function copy(target, title) {
  await run(`Writing the request for ${title}…`, async (current) => {
    const answer = await post("/v1/emit", { call: state.call, target, nearest: at("nearest").checked });
    if (!current()) return;
    const text = JSON.stringify(answer.request, null, 2);
    at("json").textContent = text;
    at("not-carried").textContent = answer.not_carried.length ? `Not carried unchanged: ${answer.not_carried.join(", ")}` : "";
    try {
      await navigator.clipboard.writeText(text);
      showStatus(`Copied: ${title}`);
    } catch {
      getSelection().selectAllChildren(at("json"));
      showStatus("The browser does not allow copying: the request is selected below, press Ctrl+C");
    }
  });
}

async function addPictures(files) {
  for (const file of files) {
    if (!file.type.startsWith("image/")) continue;
    const url = await new Promise((resolve) => {
      const reader = new FileReader();
      reader.addEventListener("load", () => resolve(reader.result));
      reader.readAsDataURL(file);
    });
    state.pictures.push({ name: file.name, url });
  }
  showPictures();
}

function showPictures() {
  at("pictures").replaceChildren(...state.pictures.map((picture, index) => {
    const remove = element("button", { type: "button", title: "Remove" }, element("img", { src: picture.url, alt: picture.name }));
    remove.setAttribute("aria-label", `Remove ${picture.name}`);
    remove.addEventListener("click", () => {
      state.pictures.splice(index, 1);
      showPictures();
      at("files").focus();
    });
    return element("li", {}, remove);
  }));
  at("identify").hidden = !state.pictures.length;
}

at("ask").addEventListener("submit", (event) => { event.preventDefault(); route(); });
at("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("ask").requestSubmit();
});
at("override").addEventListener("submit", (event) => {
  event.preventDefault();
  if (at("model").value.trim()) route(at("model").value.trim());
});
at("identify").addEventListener("click", identify);
at("files").addEventListener("change", async () => { await addPictures([...at("files").files]); at("files").value = ""; });
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); at("drop").classList.add("over"); });
}
for (const kind of ["dragleave", "drop"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); at("drop").classList.remove("over"); });
}
document.addEventListener("drop", (event) => addPictures([...event.dataTransfer.files]));
for (const button of at("targets").children) {
  button.addEventListener("click", () => copy(button.value, button.title));
}
