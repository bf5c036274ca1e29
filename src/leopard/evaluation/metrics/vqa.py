"""VQA accuracy over ten annotators with the EvalAI normalisation. Knows nothing of tasks."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"\d,\d")
# The published look-behind is mistyped, so a period survives only before a digit.
_PERIOD = re.compile(r"\.(?!\d)")
_MOST_PERIODS = 32
"""The published call passes re.UNICODE (32) where the count of replacements belongs."""
_DIGITS = {
    word: str(number)
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )
} | {"none": "0"}
_ARTICLES = {"a", "an", "the"}
_CONTRACTION_PAIRS = """
> aint>ain't arent>aren't cant>can't couldve>could've couldnt>couldn't
couldn'tve>couldn't've couldnt've>couldn't've didnt>didn't doesnt>doesn't dont>don't
hadnt>hadn't hadnt've>hadn't've hadn'tve>hadn't've hasnt>hasn't havent>haven't hed>he'd
hed've>he'd've he'dve>he'd've hes>he's howd>how'd howll>how'll hows>how's isnt>isn't
itd>it'd itd've>it'd've it'dve>it'd've itll>it'll let's>let's maam>ma'am mightnt>mightn't
mightnt've>mightn't've mightn'tve>mightn't've mightve>might've mustnt>mustn't mustve>must've
neednt>needn't notve>not've oclock>o'clock oughtnt>oughtn't ow's'at>'ow's'at
'ows'at>'ow's'at 'ow'sat>'ow's'at shant>shan't shed've>she'd've she'dve>she'd've she's>she's
shouldve>should've shouldnt>shouldn't shouldnt've>shouldn't've shouldn'tve>shouldn't've
somebody'd>somebodyd somebodyd've>somebody'd've somebody'dve>somebody'd've
somebodyll>somebody'll somebodys>somebody's someoned>someone'd someoned've>someone'd've
someone'dve>someone'd've someonell>someone'll someones>someone's somethingd>something'd
somethingd've>something'd've something'dve>something'd've somethingll>something'll
thats>that's thered>there'd thered've>there'd've there'dve>there'd've therere>there're
theres>there's theyd>they'd theyd've>they'd've they'dve>they'd've theyll>they'll
theyre>they're theyve>they've twas>'twas wasnt>wasn't wed've>we'd've we'dve>we'd've
weve>we've werent>weren't whatll>what'll whatre>what're whats>what's whatve>what've
whens>when's whered>where'd wheres>where's whereve>where've whod>who'd whod've>who'd've
who'dve>who'd've wholl>who'll whos>who's whove>who've whyll>why'll whyre>why're whys>why's
wont>won't wouldve>would've wouldnt>wouldn't wouldnt've>wouldn't've wouldn'tve>wouldn't've
yall>y'all yall'll>y'all'll y'allll>y'all'll yall'd've>y'all'd've y'alld've>y'all'd've
y'all'dve>y'all'd've youd>you'd youd've>you'd've you'dve>you'd've youll>you'll youre>you're
youve>you've
"""
_CONTRACTIONS = dict(pair.split(">") for pair in _CONTRACTION_PAIRS.split())


def vqa_normalize(text: str) -> str:
    """An answer as VQA accuracy compares it.

    Source: the EvalAI answer processor of Pythia/MMF: lower case, "'s" apart, punctuation deleted
    beside a space and otherwise turned into one, number words to digits, articles dropped, lost
    apostrophes put back.
    """
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    text = text.replace("\n", " ").replace("\t", " ").strip()
    cleaned = text
    for sign in _PUNCTUATION:
        touches_space = f"{sign} " in text or f" {sign}" in text
        cleaned = cleaned.replace(sign, "" if touches_space or _DIGIT_COMMA.search(text) else " ")
    cleaned = _PERIOD.sub("", cleaned, count=_MOST_PERIODS)
    words = (_DIGITS.get(word, word) for word in cleaned.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def textvqa_accuracy(gt_answers: Sequence[str], pred_answer: str) -> float:
    """Mean over the annotators of `min(1, matches among the others / 3)`.

    Defined for any number of annotators (the published code insists on ten); none scores 0.
    """
    pred = vqa_normalize(pred_answer)
    matches = [vqa_normalize(answer) == pred for answer in gt_answers]
    if not matches:
        return 0.0
    total = sum(matches)
    return sum(min(1.0, (total - match) / 3) for match in matches) / len(matches)
