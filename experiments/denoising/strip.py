"""Adds the first 24 pictures of a run, twice as large, as a row below a sheet: strip.py SHEET.png RUN"""
import glob
import pathlib
import sys

from PIL import Image

sheet, run = pathlib.Path(sys.argv[1]), sys.argv[2]
pictures = [Image.open(f).convert("L") for f in sorted(glob.glob(f"{run}/images/*.png"))[:24]]
width, height = (2 * side + 4 for side in pictures[0].size)
above = Image.open(sheet) if sheet.exists() else Image.new("L", (24 * width, 0))
whole = Image.new("L", (24 * width, above.height + height), 40)
whole.paste(above, (0, 0))
for i, picture in enumerate(pictures):
    whole.paste(picture.resize((width - 4, height - 4), Image.NEAREST), (i * width + 2, above.height + 2))
whole.save(sheet)
