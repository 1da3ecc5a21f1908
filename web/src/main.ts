import { mount } from "svelte";
import App from "./app/App.svelte";
import { openFile } from "./app/lab/files";

const target = document.getElementById("app");
if (!target) throw new Error("the page has no place for the explorer");
mount(App, { target });

// `orbitope explore --data FILE` puts the file into the page.
const opening = document.getElementById("opening")?.textContent;
if (opening) {
  const { name, text } = JSON.parse(opening) as { name: string; text: string };
  void openFile(new File([text], name));
}
