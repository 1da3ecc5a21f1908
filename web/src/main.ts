import { mount } from "svelte";
import App from "./app/App.svelte";

const target = document.getElementById("app");
if (!target) throw new Error("the page has no place for the explorer");
mount(App, { target });
