"""The pictures of a storyboard: lettering, a seeded look, and one frame after the other.

Only :mod:`batchkit.clients.storyboard` imports this module, and only once its extra is there.
"""

from __future__ import annotations

import colorsys
import hashlib
import math
import re
from collections.abc import Iterator
from unicodedata import category, normalize

import attrs
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

_Color = tuple[int, int, int]
_Point = tuple[float, float]
_Box = tuple[float, float, float, float]
_Trip = tuple[_Box, _Box]

_INK: _Color = (250, 250, 247)
# Pillow's strokes have hard edges: masks are drawn this much larger and averaged down.
_FINE = 3
# Layers are larger than the frame, so that the view can travel without meeting an edge.
_OVERSIZE = 1.35
# More than fits at the smallest legible size; keeps layout quick however long the prompt is.
_MOST_CHARACTERS = 4000
_LEADING = 1.28
_STROKE = 0.075
_GAP = 0.07

# Pillow's own font holds no accented letter at all, and fonts of the system differ from machine to
# machine, which a seed must not. So marks are strokes: in em, y downwards, from the middle of
# the letter's top edge (or bottom edge, for those that hang). A lone point is a dot.
_RING = tuple(
    (math.sin(n * math.tau / 16) * 0.08, math.cos(n * math.tau / 16) * 0.08 - 0.08)
    for n in range(18)
)
_ABOVE: dict[str, tuple[tuple[_Point, ...], ...]] = {
    "\u0300": (((0.05, 0), (-0.08, -0.14)),),
    "\u0301": (((-0.05, 0), (0.08, -0.14)),),
    "\u0302": (((-0.13, 0), (0, -0.14), (0.13, 0)),),
    "\u0303": (
        ((-0.16, 0), (-0.12, -0.06), (-0.06, -0.08), (0.06, -0.02), (0.12, -0.04), (0.16, -0.1)),
    ),
    "\u0308": (((-0.11, -0.05),), ((0.11, -0.05),)),
    "\u030a": (_RING,),
    "\u030c": (((-0.13, -0.14), (0, 0), (0.13, -0.14)),),
}
_BELOW: dict[str, tuple[tuple[_Point, ...], ...]] = {
    "\u0327": (((0, 0), (0, 0.06), (0.07, 0.09), (0.08, 0.15), (0.02, 0.19), (-0.09, 0.18)),),
}
_SUBSTITUTES = str.maketrans({
    "‐": "-", "–": "-", "—": "-", "―": "-", "−": "-", "×": "x", "•": "·", "„": "“", "€": "EUR",
    "¿": "", "¡": "", "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O",
    "ł": "l", "Ł": "L", "đ": "d", "ı": "i", "°": "\u00a0\u030a",
})  # fmt: skip
_CLUSTER = re.compile(r"[^\u0300-\u036f][\u0300-\u036f]*")
_MARKS = re.compile(r"[\u0300-\u036f]+")


def legible(text: str) -> str:
    """*text* as base letters followed by their marks, without what no font shows."""
    apart = normalize("NFKD", text[:_MOST_CHARACTERS])
    # Neither controls nor the marks of scripts that the font does not hold.
    shown = (c for c in apart if c.isspace() or _MARKS.match(c) or category(c)[0] not in "CM")
    return " ".join("".join(shown).split()).translate(_SUBSTITUTES)


def _bare(text: str) -> str:
    # The font has no unbreakable space either; it carries the ring of a degree sign.
    return _MARKS.sub("", text).replace("\u00a0", " ")


def _font(size: float) -> ImageFont.FreeTypeFont:
    # Typed as a union for builds without FreeType, where asking for a size raises ImportError.
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


@attrs.frozen
class Setting:
    """Text broken into lines, and the size in pixels at which they fit."""

    size: int
    lines: tuple[str, ...]

    @property
    def height(self) -> float:
        """Pixels from the first line's top to the last one's bottom."""
        return len(self.lines) * self.size * _LEADING


class Ruler:
    """Measures and breaks text, in em, so that trying another size costs nothing."""

    def __init__(self) -> None:
        self._font = _font(64)
        self._known: dict[str, float] = {}

    def width(self, text: str) -> float:
        """In em."""
        if text not in self._known:
            self._known[text] = self._font.getlength(_bare(text)) / 64
        return self._known[text]

    def fit(self, text: str, width: float, height: float, sizes: range) -> Setting:
        """The largest of *sizes* at which *text* fits; the smallest, and an ellipsis, if none."""
        words = [word for word in legible(text).split(" ") if word]
        widest = max(map(self.width, words), default=0.0)
        for size in reversed(sizes):
            # Better a smaller size than a broken word.
            if widest * size <= width:
                setting = Setting(size, tuple(self._wrap(words, width / size)))
                if setting.height <= height:
                    return setting
        limit = width / sizes[0]
        pieces = [piece for word in words for piece in self._break(word, limit)]
        lines = list(self._wrap(pieces, limit))
        return Setting(sizes[0], self._cut(lines, max(1, int(height / sizes[0] / _LEADING)), limit))

    def _wrap(self, words: list[str], limit: float) -> Iterator[str]:
        line, used, space = "", 0.0, self.width(" ")
        for word in words:
            if line and used + space + self.width(word) > limit:
                yield line
                line, used = "", 0.0
            used += self.width(word) + (space if line else 0)
            line = f"{line} {word}" if line else word
        if line:
            yield line

    def _break(self, word: str, limit: float) -> Iterator[str]:
        piece, used = "", 0.0
        for cluster in _CLUSTER.findall(word):
            used += self.width(cluster)
            if piece and used > limit:
                yield piece
                piece, used = "", self.width(cluster)
            piece += cluster
        yield piece

    def _cut(self, lines: list[str], most: int, limit: float) -> tuple[str, ...]:
        if len(lines) <= most:
            return tuple(lines)
        last = _CLUSTER.findall(lines[most - 1])
        while last and self.width("".join(last)) + self.width("…") > limit:
            last.pop()
        return (*lines[: most - 1], "".join(last).rstrip(" ,;:.-") + "…")


class Pen:
    """Writes lines of one size into a mask that is ``_FINE`` times as large as the frame."""

    def __init__(self, mask: Image.Image, size: float) -> None:
        self._draw = ImageDraw.Draw(mask)
        self._em = size * _FINE
        self._font = _font(self._em)

    def length(self, line: str) -> float:
        """In pixels of the frame."""
        return self._font.getlength(_bare(line)) / _FINE

    def write(self, x: float, baseline: float, line: str) -> None:
        """Puts *line* at a place given in pixels of the frame."""
        done = ""
        for cluster in _CLUSTER.findall(line):
            at = (x * _FINE + self._font.getlength(done), baseline * _FINE)
            base = _bare(cluster)
            self._draw.text(at, base, font=self._font, fill=255, anchor="ls")
            if len(cluster) > 1:
                self._mark(at, base, cluster[1:])
            done += base

    def _mark(self, at: _Point, base: str, marks: str) -> None:
        left, top, right, bottom = self._font.getbbox("x" if base == " " else base, anchor="ls")
        middle = at[0] + (left + right) / 2
        if base in "ij" and marks[0] in _ABOVE:
            stem = self._font.getbbox("x", anchor="ls")[1]
            self._draw.rectangle((at[0] + left, at[1] + top, at[0] + right, at[1] + stem - 1), 0)
            top = stem
        for mark in marks:
            for stroke in _ABOVE.get(mark, ()):
                self._stroke(stroke, middle, at[1] + top - _GAP * self._em)
            for stroke in _BELOW.get(mark, ()):
                self._stroke(stroke, middle, at[1] + bottom)
            if mark in _ABOVE:
                top -= 0.2 * self._em

    def _stroke(self, stroke: tuple[_Point, ...], x: float, y: float) -> None:
        points = [(x + px * self._em, y + py * self._em) for px, py in stroke]
        width = _STROKE * self._em
        radius = width * (0.7 if len(points) == 1 else 0.5)
        self._draw.line(points, fill=255, width=max(1, round(width)))
        for px, py in points:
            self._draw.ellipse((px - radius, py - radius, px + radius, py + radius), fill=255)


class Dice:
    """Fractions that depend on the seed alone, on every machine and Python."""

    def __init__(self, seed: int) -> None:
        self._bytes = iter(hashlib.shake_256(str(seed).encode()).digest(1024))

    def between(self, low: float, high: float) -> float:
        """A number from *low* to *high*."""
        return low + (high - low) * (next(self._bytes) * 256 + next(self._bytes)) / 65535

    def choice(self, count: int) -> int:
        """A whole number from 0 to below *count*."""
        return next(self._bytes) % count


def _hsv(hue: float, saturation: float, value: float) -> _Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


class Animatic:
    """One clip: everything that stands still is drawn once, each frame only moves the view.

    Args:
        prompt: the title on the card, of any length.
        footer: one line below it.
        seed: palette, layout and motion.
        size: width and height in pixels.
        frames: how many.
    """

    def __init__(
        self, *, prompt: str, footer: str, seed: int, size: tuple[int, int], frames: int
    ) -> None:
        self._size, self._frames = size, frames
        self._unit = min(size)
        dice = Dice(seed)
        # From green over blue to red: what lies between turns to mud when it is dark.
        self._hue, self._turn = dice.between(0.4, 0.9), dice.between(0.05, 0.14)
        self._accent = _hsv(self._hue + self._turn + dice.between(0.35, 0.6), 0.5, 0.98)
        self._centered = dice.choice(2) == 0
        self._backdrop = self._paint_backdrop(dice)
        self._shapes = self._paint_shapes(dice)
        self._trips: tuple[_Trip, _Trip] = (
            (self._window(1.04, dice), self._window(1.3, dice)),
            (self._window(1.3, dice), self._window(1.02, dice)),
        )
        self._card = self._set_card(prompt, footer)

    def frame(self, index: int) -> Image.Image:
        """The picture number *index*, from 0."""
        time = index / max(1, self._frames - 1)
        picture = self._view(self._backdrop, self._trips[0], time)
        picture.paste(self._accent, (0, 0), self._view(self._shapes, self._trips[1], time))
        picture.paste(self._card, (0, 0), self._card)
        self._draw_timeline(picture, (index + 1) / self._frames)
        return picture

    @property
    def _layer(self) -> tuple[int, int]:
        return math.ceil(self._size[0] * _OVERSIZE), math.ceil(self._size[1] * _OVERSIZE)

    def _view(self, layer: Image.Image, trip: _Trip, time: float) -> Image.Image:
        x0, y0, x1, y1 = (a + (b - a) * time for a, b in zip(*trip, strict=True))
        return layer.resize(self._size, Image.Resampling.BILINEAR, box=(x0, y0, x1, y1))

    def _window(self, zoom: float, dice: Dice) -> _Box:
        width, height = self._layer
        x = dice.between(0, width - width / zoom)
        y = dice.between(0, height - height / zoom)
        return x, y, x + width / zoom, y + height / zoom

    def _paint_backdrop(self, dice: Dice) -> Image.Image:
        slope = Image.linear_gradient("L").rotate(dice.between(0, 360), Image.Resampling.BICUBIC)
        # The square that a turned square of 256 always covers.
        slope = ImageOps.autocontrast(slope.crop((38, 38, 218, 218)))
        slope = slope.resize(self._layer, Image.Resampling.BICUBIC)
        dark, light = _hsv(self._hue, 0.75, 0.13), _hsv(self._hue + self._turn, 0.62, 0.5)
        backdrop = ImageOps.colorize(slope, dark, light, _hsv(self._hue, 0.7, 0.3))
        for _ in range(4):
            self._paint_glow(backdrop, dice)
        return backdrop

    def _paint_glow(self, backdrop: Image.Image, dice: Dice) -> None:
        across = round(self._unit * dice.between(0.6, 1.2))
        strength = dice.between(0.25, 0.55)
        # Pillow's gradient ends in the corners; this one must be gone at the edges: at 181.
        bell = [strength * 128 * (1 + math.cos(math.pi * min(1, v / 180))) for v in range(256)]
        glow = Image.radial_gradient("L").point(bell)
        x = dice.between(-0.2, 1) * backdrop.width
        y = dice.between(-0.2, 1) * backdrop.height
        color = _hsv(self._hue + dice.between(-0.1, 0.2), 0.65, 0.6)
        backdrop.paste(color, (round(x), round(y)), glow.resize((across, across)))

    def _paint_shapes(self, dice: Dice) -> Image.Image:
        width, height = (side * 2 for side in self._layer)
        mask = Image.new("L", (width, height))
        draw = ImageDraw.Draw(mask)
        kind = dice.choice(3)
        for _ in range(7):
            radius = self._unit * dice.between(0.12, 0.55)
            at = dice.between(0, width), dice.between(0, height)
            self._paint_shape(draw, kind, at, radius, round(dice.between(22, 60)))
        return mask.reduce(2)

    def _paint_shape(
        self, draw: ImageDraw.ImageDraw, kind: int, at: _Point, radius: float, alpha: int
    ) -> None:
        x, y = at
        box = (x - radius, y - radius, x + radius, y + radius)
        thickness = max(2, round(self._unit * 0.02))
        if kind == 0:
            draw.ellipse(box, outline=alpha, width=thickness)
        elif kind == 1:
            draw.ellipse(box, fill=alpha * 2 // 3)
        else:
            slant = radius * 1.5
            draw.line((x - slant, y + slant, x + slant, y - slant), alpha, thickness * 4)

    def _set_card(self, prompt: str, footer: str) -> Image.Image:
        width, height = self._size
        ink = Image.new("L", (width * _FINE, height * _FINE))
        ruler = Ruler()
        small, large = max(7, round(self._unit * 0.05)), max(8, round(self._unit * 0.15))
        title = ruler.fit(prompt, width * 0.8, height * 0.66, range(small, large + 1))
        self._write(ink, title, height * 0.46 - title.height / 2)
        note = ruler.fit(footer, width * 0.8, height * 0.1, range(5, max(8, height // 24)))
        self._write(ink, note, height * 0.93 - note.height)
        return self._shade(ink.reduce(_FINE))

    def _write(self, ink: Image.Image, setting: Setting, top: float) -> None:
        pen, width = Pen(ink, setting.size), self._size[0]
        for number, line in enumerate(setting.lines):
            x = (width - pen.length(line)) / 2 if self._centered else width * 0.1
            pen.write(x, top + setting.size * (1 + number * _LEADING), line)

    def _shade(self, ink: Image.Image) -> Image.Image:
        # A soft shadow keeps the letters apart from whatever passes behind them.
        blurred = ink.filter(ImageFilter.GaussianBlur(self._unit * 0.025))
        card = ImageOps.colorize(ink, (0, 0, 0), _INK)
        shade = blurred.point([min(150, value * 2) for value in range(256)])
        card.putalpha(ImageChops.lighter(ink, shade))
        return card

    def _draw_timeline(self, picture: Image.Image, done: float) -> None:
        width, height = self._size
        thick = max(2, round(self._unit * 0.014))
        end = max(0, round(width * done) - 1)
        ImageDraw.Draw(picture).rectangle((0, height - thick, end, height), self._accent)
