"""Tiny local copies of all sources, each in the source's own published layout; all made here."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from PIL import Image, ImageDraw


def picture(seed: int, size: tuple[int, int] = (90, 60), kind: str = "PNG") -> bytes:
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((5, 5, 10 + seed * 7 % 60, 40), fill=(seed * 53 % 256, seed * 97 % 256, 90))
    draw.text((8, 44), f"no {seed}", fill="black")
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def put(path: Path, content: bytes | str | Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")


def put_lines(path: Path, records: list[Any]) -> None:
    put(path, "\n".join(json.dumps(record) for record in records) + "\n")


def put_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def docvqa(root: Path) -> None:
    rows = [
        {
            "questionId": 337 + n,
            "question": f"What is number {n}?",
            "question_types": ["handwritten"],
            "image": f"documents/xn{n}_1.png",
            "docId": 279 + n,
            "ucsf_document_id": f"xn{n}",
            "answers": [f"{n}.5", f"{n}.50"],
            "data_split": "train",
        }
        for n in range(3)
    ]
    rows += [{**rows[0], "questionId": 900, "image": "documents/gone.png"}]
    rows += [{**rows[0], "questionId": 901, "answers": []}]
    put(root / "train_v1.0_withQT.json", {"dataset_name": "docvqa", "data": rows})
    for n in range(3):
        put(root / f"documents/xn{n}_1.png", picture(n))


def infographicvqa(root: Path) -> None:
    row = {
        "questionId": 65718,
        "question": "How many people use it?",
        "image_local_name": "20471.jpeg",
        "image_url": "https://example.org/20471.jpeg",
        "ocr_output_file": "20471.json",
        "answers": ["3 million"],
        "data_split": "train",
    }
    put(root / "infographicsVQA_train_v1.0.json", {"dataset_name": "i", "data": [row]})
    put(root / "infographicsvqa_images/20471.jpeg", picture(1, kind="JPEG"))


def mpdocvqa(root: Path) -> None:
    pages = ["ffbf0023_p4", "ffbf0023_p5", "ffbf0023_p6"]
    row = {
        "questionId": 49153,
        "question": "What is the actual value per 1000?",
        "doc_id": "ffbf0023",
        "page_ids": pages,
        "answers": ["0.28"],
        "answer_page_idx": 1,
        "data_split": "train",
    }
    rows = [row, {**row, "questionId": 49154, "answer_page_idx": 7}]
    put(root / "train.json", {"dataset_name": "MP-DocVQA", "data": rows})
    for n, page in enumerate(pages):
        put(root / f"images/{page}.jpg", picture(n, kind="JPEG"))


def dude(root: Path) -> None:
    base = {"docId": "0017b64b", "data_split": "train"}
    box = {"left": 5, "top": 6, "width": 30, "height": 9, "page": 1}
    rows = [
        {
            **base,
            "questionId": "0017b64b_a",
            "question": "What is the title?",
            "answers": ["Report"],
            "answers_variants": ["The report"],
            "answers_page_bounding_boxes": [[box]],
            "answer_type": "extractive",
        },
        {
            **base,
            "questionId": "0017b64b_b",
            "question": "Who paid?",
            "answers": [],
            "answers_page_bounding_boxes": [],
            "answer_type": "not-answerable",
        },
        {
            **base,
            "questionId": "0017b64b_c",
            "question": "Which towns are named?",
            "answers": ["Rome", "Oslo"],
            "answers_page_bounding_boxes": [[box], [{**box, "page": 2}]],
            "answer_type": "list/extractive",
        },
        {**base, "questionId": "x", "question": "?", "answers": ["1"], "docId": "nowhere"},
        {**base, "questionId": "y", "question": "Val?", "answers": ["1"], "data_split": "val"},
    ]
    put(root / "2023-03-23_DUDE_gt.json", {"data": rows})
    for n in range(3):
        put(root / f"images/train/0017b64b_{n}.jpg", picture(n, kind="JPEG"))


def tatdqa(root: Path) -> None:
    def doc(uid: str) -> dict[str, Any]:
        questions = [
            {
                "uid": f"{uid}-1",
                "question": "What was the change in revenue?",
                "answer": 94,
                "derivation": "5829 - 5735",
                "answer_type": "arithmetic",
                "scale": "million",
            },
            {
                "uid": f"{uid}-2",
                "question": "Which years are shown?",
                "answer": ["2018", "2019"],
                "derivation": "",
                "answer_type": "multi-span",
                "scale": "",
            },
            {"uid": f"{uid}-3", "question": "Empty?", "answer": "", "scale": ""},
        ]
        return {"doc": {"uid": uid, "page": 4, "source": "x.pdf"}, "questions": questions}

    put(root / "tatdqa_dataset_train.json", [doc("aa"), doc("bb"), doc("cc")])
    for n, uid in enumerate(("aa", "bb")):
        pages = [Image.open(io.BytesIO(picture(n * 2 + page, (120, 160)))) for page in range(2 - n)]
        path = root / f"tat_docs/train/{uid}.pdf"
        path.parent.mkdir(parents=True, exist_ok=True)
        pages[0].save(path, "PDF", save_all=True, append_images=pages[1:])


def arxivqa(root: Path) -> None:
    def line(n: int, **more: Any) -> dict[str, Any]:
        return {
            "id": f"cond-mat-{n}",
            "image": f"images/0805.{n}_1.jpg",
            "options": ["A) Linear", "B) Exponential", "C) None"],
            "question": "What trend does the figure show?",
            "label": "B",
            "rationale": "The curve bends upwards.",
            **more,
        }

    lines = [line(n) for n in range(6)] + [line(1, id="bad", label="Z")]
    put_lines(root / "arxivqa.jsonl", lines)
    with (root / "arxivqa.jsonl").open("a") as file:
        file.write("{broken\n")
    for n in range(6):
        put(root / f"images/0805.{n}_1.jpg", picture(n, kind="JPEG"))


def slidevqa(root: Path) -> None:
    row = {
        "deck_name": "a-deck_95",
        "deck_url": "https://example.org/a-deck",
        "image_urls": [],
        "qa_id": 1,
        "question": "What is the sum of both shares?",
        "answer": "80%",
        "arithmetic_expression": "30% + 50%",
        "evidence_pages": [3, 18],
        "reasoning_type": "Multi-Hop",
        "answer_type": "Non-Span",
    }
    rows = [row, {**row, "qa_id": 2, "deck_name": "short"}]
    put_lines(root / "annotations/qa/train.jsonl", rows)
    for n in range(1, 21):
        put(root / f"images/train/a-deck_95/a-deck-{n}-1024.jpg", picture(n, (32, 24), "JPEG"))
    put(root / "images/train/short/short-1-1024.jpg", picture(1, (32, 24), "JPEG"))


def _published(folder: str) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        images = [{"bytes": picture(n), "path": f"{n}.png"} for n in range(3)]
        texts = [
            {"user": "Which slide names the price?", "assistant": "The second."},
            {"user": "How many are there?", "assistant": "3"},
        ]
        rows = [{"id": "q1", "images": images, "texts": texts}]
        rows += [{"id": "q2", "images": [{"bytes": b"no", "path": ""}], "texts": texts}]
        put_parquet(root / folder / f"{folder}-000000_0.parquet", rows)

    return build


def multihiertt(root: Path) -> None:
    spans = (
        "<table><tr><td rowspan='2'></td><td colspan='2'>Years</td></tr><tr><td>2018</td>"
        "<td>2019</td></tr><tr><td>Revenue</td><td>10</td><td>12</td></tr></table>"
    )
    long_rows = "".join(f"<tr><td>Item {n}</td><td>{n}</td></tr>" for n in range(45))
    row = {
        "uid": "51c0",
        "paragraphs": ["Revenue grew in 2019.", "Costs did not."],
        "tables": [spans, f"<table><tr><th>Name</th><th>Value</th></tr>{long_rows}</table>"],
        "table_description": {},
        "qa": {
            "question": "How much did revenue grow?",
            "answer": 2.0,
            "program": "subtract(12,10)",
            "text_evidence": [0],
            "table_evidence": ["0-2-1", "0-2-2"],
        },
    }
    rows = [row, {**row, "uid": "no-table", "tables": []}, {"uid": "broken"}]
    put(root / "train.json", rows)


def multitabqa(root: Path) -> None:
    def frame(columns: list[str], data: list[list[Any]]) -> str:
        return json.dumps({"columns": columns, "index": [*range(len(data))], "data": data})

    head = frame(["id", "name", "age"], [[1, "Ann", 51.0], [2, "Bo", None]])
    dept = frame(["dept", "head"], [["Sales", 1], ["Law", 2]])
    base = {"query": "SELECT count(*)", "table_names": ["head", "dept"], "tables": [head, dept]}
    one = frame(["count(*)"], [[2]])
    many = frame(["name", "dept"], [["Ann", "Sales"], ["Bo", "Law"]])
    rows = [
        {**base, "question": "How many?", "answer": one},
        {**base, "question": "Who heads what?", "answer": many},
        {**base, "question": "Whose name?", "answer": frame(["name"], [["Ann"], ["Bo"]])},
        {**base, "question": "Nothing?", "answer": frame(["name"], [])},
        {**base, "question": "Broken?", "answer": "not a table"},
    ]
    put_parquet(root / "data/train-00000-of-00001.parquet", rows)


def tablegpt(root: Path) -> None:
    table = "|No|Town|People|\n|---|---|---|\n|1|Ulm|12|\n|2|Bonn|33|\n|3|Kiel|24|"
    prompt = (
        f"# Task Description: Find the odd cell.\n## Input:\n{table}\n\nReturn JSON.\n## Output:"
    )
    rows = [
        {"task": "ErrorDetection", "dataset": "x", "prompt": prompt, "completion": '{"cells": []}'},
        {
            "task": "EntityMatching",
            "dataset": "y",
            "prompt": f"Row A:\n{table}\n\nRow B:\n{table.replace('Ulm', 'Ulms')}\n\nMatch?",
            "completion": 'The towns differ.\n\n{"answer": "No"}',
        },
        {"task": "NL2SQL", "dataset": "z", "prompt": "no table here", "completion": "x"},
    ]
    put_lines(root / "train/train_All.jsonl", rows)


def tabmwp(root: Path) -> None:
    base = {"table_title": "Prices", "grade": 4, "split": "train", "row_num": 3}
    problems = {
        "17": {
            **base,
            "question": "How much do two pens cost?",
            "choices": None,
            "answer": "6.20",
            "unit": "$",
            "solution": "Two pens cost 2 x 3.10 = 6.20.",
            "ques_type": "free_text",
        },
        "18": {
            **base,
            "question": "Is there a shortage?",
            "choices": ["shortage", "surplus"],
            "answer": "surplus",
            "unit": None,
            "solution": "More is offered than asked for.",
            "ques_type": "multi_choice",
        },
        "19": {**base, "question": "Odd?", "choices": ["a", "b"], "answer": "c", "unit": None},
    }
    put(root / "tabmwp/problems_train.json", problems)
    for n in problems:
        put(root / f"tabmwp/tables/{n}.png", picture(int(n)))


def chartgemma(root: Path) -> None:
    rows = [
        {"image": picture(n // 2), "input": f"Question {n}?", "output": f"Because. {n}"}
        for n in range(8)
    ]
    rows += [{"image": b"damaged", "input": "x?", "output": "y"}]
    put_parquet(root / "data/train-00000-of-00001.parquet", rows)


def dvqa(root: Path) -> None:
    rows = [
        {
            "question": f"What is the value of bar {q}?",
            "question_id": c * 100 + q,
            "template_id": "data",
            "answer": str(q + 1),
            "image": f"bar_train_{c:08d}.png",
            "answer_bbox": [],
        }
        for c in range(5)
        for q in range(12 if c == 0 else 2)
    ]
    put(root / "qa/train_qa.json", rows)
    for c in range(5):
        put(root / f"images/bar_train_{c:08d}.png", picture(c))


def figureqa(root: Path) -> None:
    pairs = [
        {
            "question_string": "Is Red the maximum?",
            "answer": n % 2,
            "image_index": n // 2,
            "question_id": 0,
            "color1_name": "Red",
        }
        for n in range(8)
    ]
    pairs += [{"question_string": "Is it?", "image_index": 0, "answer": 5}]
    put(root / "train1/qa_pairs.json", {"qa_pairs": pairs, "total_distinct_questions": 8})
    for n in range(4):
        put(root / f"train1/png/{n}.png", picture(n))


def chartqa(root: Path) -> None:
    human = [{"imgname": f"{n}.png", "query": "What's the sum?", "label": f"{n}"} for n in range(4)]
    machine = [{"imgname": "0.png", "query": "When was it?", "label": "2019"}]
    machine += [{"imgname": "0.png", "query": "", "label": "2019"}]
    put(root / "ChartQA Dataset/train/train_human.json", human)
    put(root / "ChartQA Dataset/train/train_augmented.json", machine)
    for n in range(4):
        put(root / f"ChartQA Dataset/train/png/{n}.png", picture(n))


def mind2web(root: Path) -> None:
    page = Image.new("RGB", (128, 700), "white")
    draw = ImageDraw.Draw(page)
    for top in range(10, 690, 40):
        draw.text((6, top), f"line at {top}", fill="black")
    file = io.BytesIO()
    page.save(file, "PNG")
    attributes = json.dumps({"bounding_box_rect": "6,410,40,10", "class": "go"})
    row = {
        "action_uid": "u1",
        "annotation_id": "t1",
        "confirmed_task": "Book a table for two",
        "website": "tables",
        "action_reprs": ["[link]  Tables -> CLICK", "[button]  Book -> CLICK"],
        "target_action_index": "1",
        "target_action_reprs": "[button]  Book -> CLICK",
        "pos_candidates": [json.dumps({"tag": "button", "attributes": attributes})],
        "screenshot": {"bytes": file.getvalue(), "path": "x.png"},
    }
    rows = [row, {**row, "action_uid": "u2", "screenshot": None}]
    put_parquet(root / "data/train-00000-of-00001.parquet", rows)


def website_screenshots(root: Path) -> None:
    coco = {
        "categories": [
            {"id": 0, "name": "elements"},
            {"id": 1, "name": "button"},
            {"id": 2, "name": "image"},
        ],
        "images": [{"id": 0, "file_name": "a_com.rf.1.png", "width": 90, "height": 60}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 1, "bbox": [2, 2, 10, 8]},
            {"id": 2, "image_id": 0, "category_id": 1, "bbox": [40, 25, 10, 8]},
            {"id": 3, "image_id": 0, "category_id": 2, "bbox": [65, 45, 20, 10]},
            {"id": 4, "image_id": 0, "category_id": 2, "bbox": [200, 45, 20, 10]},
        ],
    }
    put(root / "train/_annotations.coco.json", coco)
    put(root / "train/a_com.rf.1.png", picture(1))


def omniact(root: Path) -> None:
    items = {
        "0": {
            "task": "data/tasks/web/shop/task_1.30.txt",
            "image": "data/data/web/shop/screen_1.png",
            "box": "data/metadata/web/boxes/shop/screen_1.json",
        },
        "1": {
            "task": "data/tasks/web/shop/task_2.txt",
            "image": "data/data/web/shop/screen_1.png",
        },
    }
    put(root / "train.json", items)
    text = "Task: Open the basket\nOutput Script:\npyautogui.click(12.5,30.0)\n"
    put(root / "data/tasks/web/shop/task_1.30.txt", text)
    put(root / "data/tasks/web/shop/task_2.txt", "nothing of use")
    put(root / "data/data/web/shop/screen_1.png", picture(3))


def screenqa(root: Path) -> None:
    def element(text: str, bounds: list[int]) -> dict[str, Any]:
        return {"text": text, "bounds": bounds, "vh_index": 4}

    def row(image: int, question: str, truths: list[Any]) -> dict[str, Any]:
        return {"image_id": image, "question": question, "ground_truth": truths}

    said = {"full_answer": "It is Ann.", "ui_elements": [element("Ann", [5, 5, 40, 20])]}
    other = {"full_answer": "Ann Lee.", "ui_elements": [element("Ann Lee", [5, 5, 60, 20])]}
    none = {"full_answer": "<no answer>", "ui_elements": []}
    pair = {
        "full_answer": "Red and blue.",
        "ui_elements": [element("red", [5, 5, 40, 20]), element("blue", [5, 25, 400, 40])],
    }
    rows = [row(0, "What is the name?", [said, other]), row(0, "What is the age?", [none, none])]
    rows += [row(n, "Which colours are there?", [pair]) for n in range(1, 5)]
    rows += [{"image_id": 9, "question": "Gone?", "ground_truth": [said]}]
    put(root / "answers_and_bboxes/train.json", rows)
    for n in range(5):
        put(root / f"combined/{n}.jpg", picture(n, kind="JPEG"))


def webvision(root: Path) -> None:
    rows = [{"image": {"bytes": picture(1), "path": None}, "text": "A page that sells pens."}]
    put_parquet(root / "data/train-00000-of-00001.parquet", rows)


def webui(root: Path) -> None:
    def node(number: int, role: str, name: str) -> dict[str, Any]:
        return {
            "nodeId": str(number),
            "backendDOMNodeId": number,
            "role": {"type": "role", "value": role},
            "name": {"type": "computedString", "value": name},
        }

    nodes = [
        node(3, "link", "Prices"),
        node(4, "button", "Sign in"),
        node(5, "heading", "Pens and paper"),
        node(6, "link", "More"),
        node(7, "link", "More"),
        node(8, "generic", "no kind"),
        node(9, "link", "Below the screen"),
    ]
    places = {"3": (5, 5), "4": (65, 5), "5": (40, 25), "6": (5, 50), "7": (65, 50), "9": (5, 900)}
    boxes = {n: {"x": x, "y": y, "width": 15, "height": 6} for n, (x, y) in places.items()}
    stem = root / "train_split_web7k/1656/default_1280-720"
    put(Path(f"{stem}-screenshot.webp"), picture(1, kind="WEBP"))
    tree = json.dumps({"nodes": nodes}).encode()
    put(Path(f"{stem}-axtree.json.gz"), gzip.compress(tree))
    put(Path(f"{stem}-bb.json.gz"), gzip.compress(json.dumps({**boxes, "8": None}).encode()))
    bad = root / "train_split_web7k/1657/default_1280-720"
    put(Path(f"{bad}-screenshot.webp"), picture(2, kind="WEBP"))
    put(Path(f"{bad}-axtree.json.gz"), b"no gzip")
    put(Path(f"{bad}-bb.json.gz"), b"no gzip")


def _llava(question: str, answer: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def llavar(root: Path) -> None:
    talk = _llava("<image>\nWho wrote it?", "Ann Lee.") + _llava("When?", "In 1999.")
    rows = [{"id": "7f3", "image": "7f3.jpg", "conversations": talk}]
    rows += [{"id": "odd", "image": "7f3.jpg", "conversations": talk[:3]}]
    put(root / "chat_llavar.json", rows)
    put(root / "images/7f3.jpg", picture(1, kind="JPEG"))


def mathv360k(root: Path) -> None:
    talk = _llava("<image>\nHint: give a number.\nQuestion: How long is AB?", "The answer is 5")
    row = {"id": "identity_0", "image": "GEOS/images/10.png", "conversations": talk}
    put(root / "train_samples_all_tuning.json", [row, {**row, "image": "GEOS/images/11.png"}])
    put(root / "data_images/GEOS/images/10.png", picture(1))


def monkey(root: Path) -> None:
    rows = []
    for n in range(5):
        path = f"data/TextVQA/{n}.jpg"
        question = f"<img>{path}</img> What does the sign say? Answer: "
        if n == 4:
            question = f"<img>{path}</img> Generate the detailed caption in English: "
        talk = [{"from": "user", "value": question}, {"from": "assistant", "value": f"stop {n}"}]
        rows.append({"id": path, "conversations": talk})
        put(root / f"Monkey_Train_data/{path}", picture(n, kind="JPEG"))
    put(root / "train_monkey.json", rows)


def docreason(root: Path) -> None:
    row = {
        "image": ["./imgs/DocVQA/a.png"],
        "messages": [
            {"role": "user", "content": "<|image|>What is the date?"},
            {"role": "assistant", "content": "The letter is dated 5 May."},
        ],
        "task_name": "qa_sft",
        "dataset_name": "DocVQA",
    }
    put_lines(root / "detailed_explanation.jsonl", [row, {**row, "image": ["../../etc/passwd"]}])
    put(root / "imgs/DocVQA/a.png", picture(1))


def iconqa(root: Path) -> None:
    def problem(kind: str, number: int, **data: Any) -> Path:
        folder = root / f"iconqa/train/{kind}/{number}"
        put(folder / "data.json", {"grade": "kindergarten", **data})
        put(folder / "image.png", picture(number))
        return folder

    names = [f"choice_{n}.png" for n in range(3)]
    chosen = problem("choose_img", 1, question="Which is next?", choices=names, answer=2)
    for n, name in enumerate(names):
        put(chosen / name, picture(10 + n))
    problem("choose_txt", 2, question="Which is longer?", choices=["pen", "ruler"], answer=1)
    problem("fill_in_blank", 3, question="The pen is (_) cubes long.", answer="4")
    problem("choose_txt", 4, question="Odd?", choices=["a", "b"], answer=7)


def mapqa(root: Path) -> None:
    rows = [
        {
            "map_id": f"map_{n}",
            "question": "Which states have the highest value?",
            "answer": ["Ohio", "Iowa"],
            "question_type": "relational",
            "template_id": 4,
        }
        for n in range(4)
    ]
    rows += [{**rows[0], "answer": []}]
    put(root / "MapQA_S/train-QA.json", rows)
    for n in range(4):
        put(root / f"MapQA_S/images/map_{n}.png", picture(n))


BUILDERS: dict[str, Callable[[Path], None]] = {
    "arxivqa": arxivqa,
    "chartgemma": chartgemma,
    "chartqa": chartqa,
    "docreason": docreason,
    "docvqa": docvqa,
    "dude": dude,
    "dvqa": dvqa,
    "figureqa": figureqa,
    "iconqa": iconqa,
    "infographicvqa": infographicvqa,
    "llavar": llavar,
    "mapqa": mapqa,
    "mathv360k": mathv360k,
    "mind2web": mind2web,
    "monkey": monkey,
    "mpdocvqa": mpdocvqa,
    "multihiertt": multihiertt,
    "multitabqa": multitabqa,
    "omniact": omniact,
    "pew_multichart": _published("pew_chart"),
    "screenqa": screenqa,
    "slideshare": _published("slideshare"),
    "slidesgeneration": _published("slidesgeneration"),
    "slidevqa": slidevqa,
    "tablegpt": tablegpt,
    "tabmwp": tabmwp,
    "tatdqa": tatdqa,
    "website_screenshots": website_screenshots,
    "webui": webui,
    "webvision": webvision,
}
