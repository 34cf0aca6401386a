// A browser starts no worker from a file. So where the site is read from a folder, the search runs in a hidden frame: a stand-in for
// `Worker` with what the theme uses of it. The theme finds it by the name `IFrameWorker`.
(function () {
  "use strict";
  if (window.location.protocol !== "file:") return;

  function later(target, data) {
    window.setTimeout(function () {
      target.dispatchEvent(new MessageEvent("message", { data: data }));
    }, 0);
  }

  class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      this.onmessage = null;
      this.addEventListener("message", (event) => this.onmessage && this.onmessage(event));
      this.waiting = []; // what is sent before the script has been loaded
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.postMessage = (data) => later(this, data);
      inside.importScripts = (...urls) => urls.reduce((before, each) => before.then(() => this.load(each)), Promise.resolve());
      this.load(String(url)).then(() => {
        const held = this.waiting;
        this.waiting = null;
        held.forEach((data) => this.postMessage(data));
      });
    }

    load(url) {
      const page = this.frame.contentDocument;
      return new Promise((loaded, failed) => {
        const script = page.createElement("script");
        script.src = new URL(url, document.baseURI).href;
        script.onload = loaded;
        script.onerror = failed;
        page.head.append(script);
      });
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else later(this.frame.contentWindow, data);
    }

    terminate() {
      this.frame.remove();
    }
  }

  window.IFrameWorker = window.Worker = IFrameWorker;
})();
