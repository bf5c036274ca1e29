"""A static page to look at samples: pages, questions, evidence boxes, reasoning, provenance.

One HTML file that needs no server and loads nothing: pictures are inside. Hovering a question
shows its evidence; accept and reject marks can be saved as JSON lines. Knows nothing of making.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from leopard.curation.exports import tagged
from leopard.schema.samples import PixelImage, QuestionAnswer, Sample

_STYLE = """
body{font:15px/1.4 system-ui,sans-serif;margin:0;background:#f3f3f1;color:#222}
header{position:sticky;top:0;background:#fff;padding:.6em 1em;border-bottom:1px solid #ccc;
z-index:9}
section{background:#fff;margin:1em;padding:1em;border-radius:6px;display:grid;
grid-template-columns:minmax(300px,3fr) minmax(280px,2fr);gap:1em}
section.accept{outline:3px solid #2a8f4f}section.reject{outline:3px solid #c33}
.pages{display:flex;flex-wrap:wrap;gap:8px;align-content:flex-start}
.page{position:relative;border:1px solid #bbb}.page img{display:block;max-width:100%}
.box{position:absolute;border:2px solid #e4572e;background:#e4572e33;display:none;
pointer-events:none}
.qa{padding:.4em;border-bottom:1px solid #eee;cursor:default}.qa:hover{background:#fff4dc}
.a{font-weight:600}.m{color:#666;font-size:13px}pre{white-space:pre-wrap;font-size:12px}
"""
_SCRIPT = """
const marks={};
function show(s,q,on){document.querySelectorAll(`[data-s="${s}"][data-q="${q}"]`)
.forEach(b=>b.style.display=on?'block':'none')}
function mark(s,id,v){marks[id]=v;document.getElementById(s).className=v}
function save(){const t=Object.entries(marks).map(([id,v])=>JSON.stringify({id,verdict:v}))
.join('\\n');const a=document.createElement('a');
a.href=URL.createObjectURL(new Blob([t+'\\n']));a.download='verdicts.jsonl';a.click()}
"""


def write_page(samples: Iterable[Sample], path: Path, title: str) -> int:
    """Write samples with pixel images as one HTML file; returns how many."""
    parts = [_section(index, sample) for index, sample in enumerate(samples)]
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><script>{_SCRIPT}</script><header><b>{html.escape(title)}</b> "
        f"{len(parts)} samples. Hover a question to see its evidence. "
        f'<button onclick="save()">Save verdicts</button></header>{"".join(parts)}</html>'
    )
    path.write_text(page, encoding="utf-8")
    return len(parts)


def _section(index: int, sample: Sample) -> str:
    name = f"s{index}"
    pages = "".join(
        f'<div class="page"><img src="data:image/jpeg;base64,'
        f'{base64.b64encode(image.data).decode()}" alt="page {number + 1}" loading="lazy">'
        f"{_boxes(name, number, sample.qa)}</div>"
        for number, image in enumerate(sample.images)
        if isinstance(image, PixelImage)
    )
    questions = "".join(_question(name, number, qa) for number, qa in enumerate(sample.qa))
    if not sample.qa:
        questions = "".join(
            f'<div class="qa"><span class="m">{m.role}</span> {html.escape(tagged(m))}</div>'
            for m in sample.messages
        )
    origin = html.escape(json.dumps(sample.provenance, indent=1, ensure_ascii=False))
    identity = html.escape(json.dumps(sample.id), quote=True)
    buttons = "".join(
        f"<button onclick=\"mark('{name}',{identity},'{v}')\">{v}</button> "
        for v in ("accept", "reject")
    )
    return (
        f'<section id="{name}"><div class="pages">{pages}</div><div><b>{html.escape(sample.id)}</b>'
        f' <span class="m">{sample.domain}, {sample.split}, {html.escape(sample.licence)}</span> '
        f"{buttons}{questions}<details><summary>provenance</summary><pre>{origin}</pre></details>"
        "</div></section>"
    )


def _boxes(name: str, image: int, qa: Sequence[QuestionAnswer]) -> str:
    found = []
    for number, turn in enumerate(qa):
        for evidence in turn.evidence:
            if evidence.image == image:
                left, top, right, bottom = (100 * side for side in evidence.box)
                found.append(
                    f'<div class="box" data-s="{name}" data-q="{number}" style="left:{left:.2f}%;'
                    f'top:{top:.2f}%;width:{right - left:.2f}%;height:{bottom - top:.2f}%"></div>'
                )
    return "".join(found)


def _question(name: str, number: int, qa: QuestionAnswer) -> str:
    reasons = f'<div class="m">{html.escape(qa.rationale)}</div>' if qa.rationale else ""
    return (
        f'<div class="qa" onmouseenter="show(\'{name}\',{number},1)" '
        f"onmouseleave=\"show('{name}',{number},0)\">{html.escape(qa.question)} "
        f'<span class="a">{html.escape(qa.answer)}</span> '
        f'<span class="m">[{html.escape(qa.family)}]</span>{reasons}</div>'
    )
