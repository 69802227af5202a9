"""64 unguided samples beside 64 test pictures, which is which said below.

    python3 experiments/truth/sheet.py RUN TEST.zip OUT.png

RUN is a folder of `isoline generate --mode balanced --seeds 0-63`. Needs pillow.
"""
import io
import sys
import zipfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIDE, GAP, LINE = 64, 4, 24
run, test, out = map(Path, sys.argv[1:])
made = [Image.open(p).convert("RGB") for p in sorted((run / "images").glob("*.png"))[:64]]
with zipfile.ZipFile(test) as archive:
    names = sorted(n for n in archive.namelist() if n.endswith(".png"))[:64]
    real = [Image.open(io.BytesIO(archive.read(n))).convert("RGB") for n in names]
assert len(made) == len(real) == 64

block = 8 * SIDE + 7 * GAP
sheet = Image.new("RGB", (2 * block + 5 * GAP, block + LINE), "white")
draw = ImageDraw.Draw(sheet)
for left, pictures, text in [(0, made, "made: unguided, seeds 0 to 63"), (block + 5 * GAP, real, "drawn: the first 64 test pictures")]:
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (left + i % 8 * (SIDE + GAP), i // 8 * (SIDE + GAP)))
    draw.text((left + 2, block + 6), text, fill="black", font=ImageFont.load_default(13))
sheet.save(out, optimize=True)
