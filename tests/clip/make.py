"""Token ids of 200 prompts by transformers 5.24, for the tokenizers of the data's tiny pipelines: make.py TINY_PIPELINES

Writes prompts.json, and ids.json: for each tokenizer its padded length, the id that pads, and for each prompt its ids without the padding.
"""
import json
import pathlib
import random
import sys

from transformers import CLIPTokenizer

here = pathlib.Path(__file__).parent
root = pathlib.Path(sys.argv[1])
random.seed(7)
words = (
    "a the of portrait castle mountain river cat dog house tree sunset oil painting photograph 4k detailed red blue über café "
    "naïve Größe señor smørrebrød İstanbul ΑΒΓ кошка 猫 日本語 한국어 ไทย हिन्दी עברית العربية don't it's we've they'll I'm y'all rock'n'roll "
    "1234 3.14 12½ ² ⅷ snow-bridge under_score e-mail@host http://x.org #tag C++ 50% (parens) [box] {curly} \"quoted\" :) ... ?! !! ! wow! "
    "🙂 👩‍👩‍👧 🇩🇪 é e\u0301 ﬁ Ǆ ß SS \u00a0 \u200b \u3000 \ufeff ａｂｃ <tag> | \\ / ~ ` ^ & * <|endoftext|> <|startoftext|> <|ENDOFTEXT|> <|other|>"
).split(" ")
prompts = [
    "", " ", "\n", "\t \n", "!", "!!", "! !", "birds!!", "a!b", "<|endoftext|>", "a<|endoftext|>b", "<|endoftext|><|startoftext|>!", "A" * 300,
    "a " * 74, "a " * 75, "a " * 76, "a " * 90, "word " * 90, "!" * 90, "'s't're", "'S 'T", "I'M", "''s", "it''s", "\u0000", "a\u0000b", "\x7f",
    "\u0130", "i\u0307", "ẞ", "ΌΣΟΣ", "٣٤٥", "Ⅷ", "a\u0301\u0302", "\u202eabc", "a\r\nb", "x" + "\u0301" * 90, "0" * 90, "  lead", "trail  ",
]
while len(prompts) < 200:
    prompts.append(random.choice(["", " "]).join(random.choice([" ", " ", " ", "  ", ""]) + random.choice(words) for _ in range(random.randint(1, 30))))
found = {}
for name in ("sd15-like/tokenizer", "sd21-like/tokenizer", "sdxl-like/tokenizer", "sdxl-like/tokenizer_2", "lcm-like/tokenizer"):
    tokenizer = CLIPTokenizer.from_pretrained(root / name)
    length = tokenizer.model_max_length
    rows = tokenizer(prompts, padding="max_length", max_length=length, truncation=True).input_ids
    bare = tokenizer(prompts, max_length=length, truncation=True).input_ids
    assert all(len(row) == length and row[: len(ids)] == ids for row, ids in zip(rows, bare))
    assert all(set(row[len(ids) :]) <= {tokenizer.pad_token_id} for row, ids in zip(rows, bare))
    found[name] = {"length": length, "pad": tokenizer.pad_token_id, "ids": bare}
(here / "prompts.json").write_text(json.dumps(prompts, ensure_ascii=True, indent=0) + "\n")
(here / "ids.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")
