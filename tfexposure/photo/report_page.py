"""The report's page: markup, style and its few lines of script."""

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tfexposure: {count} photos</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; --soft: #888; }}
* {{ box-sizing: border-box; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 24px;
  max-width: 1240px; background: Canvas; color: CanvasText; }}
h1 {{ font-size: 22px; margin: 0; }} h2 {{ font-size: 16px; margin: 0; }}
header p {{ margin: 2px 0 24px; color: var(--soft); }}
article {{ display: grid; gap: 20px; padding: 20px 0;
  grid-template-columns: minmax(0, 1fr) 260px;
  border-top: 1px solid var(--line); }}
@media (max-width: 800px) {{ article {{ grid-template-columns: 1fr; }} }}
h2 {{ overflow-wrap: anywhere; }}
.compare {{ position: relative; display: grid; width: fit-content;
  max-width: 100%; --x: 50%; border-radius: 6px; overflow: hidden; }}
.compare > * {{ grid-area: 1 / 1; }}
.compare img, .still {{ display: block; max-width: 100%; max-height: 78vh;
  border-radius: 6px; }}
.compare .after {{ clip-path: inset(0 0 0 var(--x)); }}
.compare::after {{ content: ""; position: absolute; inset: 0 auto 0 var(--x);
  width: 2px; margin-left: -1px; background: #fff;
  box-shadow: 0 0 4px #000a; pointer-events: none; }}
.compare span {{ position: absolute; bottom: 10px; padding: 1px 9px;
  border-radius: 99px; background: #000a; color: #fff; font-size: 12px;
  pointer-events: none; }}
.compare span.l {{ left: 10px; }} .compare span.r {{ right: 10px; }}
.compare input {{ width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; }}
.compare:focus-within {{ outline: 2px solid Highlight; outline-offset: 2px; }}
.tag {{ display: inline-block; padding: 0 9px; border-radius: 99px;
  font-size: 13px; border: 1px solid; margin: 6px 6px 0 0; }}
.needs {{ color: #c2410c; }} .recoverable {{ color: #a16207; }}
.well {{ color: #15803d; }}
@media (prefers-color-scheme: dark) {{ .needs {{ color: #fdba74; }}
  .recoverable {{ color: #fde047; }} .well {{ color: #86efac; }} }}
dl {{ display: grid; grid-template-columns: auto 1fr; gap: 1px 12px;
  margin: 12px 0; font-size: 14px; }}
dt {{ color: var(--soft); }} dd {{ margin: 0; overflow-wrap: anywhere; }}
figure {{ margin: 0 0 8px; }} figcaption {{ font-size: 12px;
  color: var(--soft); }}
svg {{ width: 100%; display: block; border-bottom: 1px solid var(--line); }}
table {{ border-collapse: collapse; font-size: 14px; width: 100%; }}
td, th {{ text-align: left; padding: 4px 10px 4px 0;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }}
section {{ border-top: 1px solid var(--line); padding-top: 20px; }}
</style></head><body>
<header><h1>Exposure report</h1><p>{count} photos: {summary}</p></header>
<main>
"""

CARD = """<article class="photo">
<div>{shown}</div>
<div><h2>{name}</h2>
<span class="tag {kind}">{verdict}</span><span class="tag">{status}</span>
<dl>{facts}</dl>{histograms}</div>
</article>
"""

SLIDER = """<div class="compare">
<img class="before" alt="{name} before" src="{before}">
<img class="after" alt="{name} after" src="{after}">
<input type="range" min="0" max="100" step="0.1" value="50"
 aria-label="{name}: share of the picture shown as it was before">
<span class="l">before</span><span class="r">after</span></div>"""

STILL = """<img class="still" alt="{name}, left as it is" src="{before}">"""

FOOT = """</main>
<script>
for (const compare of document.querySelectorAll(".compare")) {
  const input = compare.querySelector("input");
  const show = () => compare.style.setProperty("--x", input.value + "%");
  input.addEventListener("input", show);
  show();
}
</script></body></html>
"""
