"""A static web page of results, with videos, pictures and tables."""

from collections.abc import Mapping, Sequence
import dataclasses
import html
import os
from urllib import parse

from vidcolor import files

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 0 auto; max-width: 70rem; padding: 2rem 1.25rem 4rem;
  color: #202124; background: #fff; font: 1rem/1.6 system-ui, sans-serif; }}
h1 {{ font-size: 2rem; line-height: 1.2; }}
h2 {{ margin-top: 3rem; padding-top: 1rem; border-top: 1px solid #dadce0; }}
p {{ max-width: 44rem; }}
.media {{ display: grid; gap: 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }}
figure {{ margin: 0; }}
img, video {{ display: block; max-width: 100%; border-radius: 4px; }}
figcaption, caption {{ color: #5f6368; font-size: .9rem; text-align: left;
  padding: .4rem 0; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .9rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #e8eaed; }}
th:first-child {{ text-align: left; padding-left: 0; }}
th {{ font-weight: 500; }}
</style>
</head>
<body>
<h1>{title}</h1>
{sections}
</body>
</html>
"""


@dataclasses.dataclass(frozen=True)
class Media:
  """A picture or an MP4 video.

  Attributes:
    file: Its path, relative to the page.
    caption: What it shows, in plain words.
  """

  file: str
  caption: str


@dataclasses.dataclass(frozen=True)
class Table:
  """Scores, of which more is better.

  Attributes:
    rows: By row's name, such as a sequence: scores by column's name, such as a
      method. The best of each row is set in bold.
    caption: What the scores are.
  """

  rows: Mapping[str, Mapping[str, float]]
  caption: str


@dataclasses.dataclass(frozen=True)
class Section:
  """A part of the page.

  Attributes:
    title: Its heading.
    text: A paragraph below the heading.
    table: Below the text.
    media: Below the table, side by side where there is room.
  """

  title: str
  text: str = ''
  table: Table | None = None
  media: Sequence[Media] = ()


def write(
    path: str | os.PathLike, *, title: str, sections: Sequence[Section]
) -> None:
  """Writes the page; it is there only once complete.

  Args:
    path: HTML file, in the folder that the media's paths start from.
    title: Of the page.
    sections: In order.
  """
  page = _PAGE.format(
      title=html.escape(title),
      sections='\n'.join(_section(section) for section in sections),
  )
  with files.written_whole(path) as temporary:
    temporary.write_text(page, encoding='utf-8')


def _section(section):
  parts = ['<section>', f'<h2>{html.escape(section.title)}</h2>']
  if section.text:
    parts.append(f'<p>{html.escape(section.text)}</p>')
  if section.table:
    parts.append(_table(section.table))
  if section.media:
    parts.append('<div class="media">')
    parts.extend(_figure(media) for media in section.media)
    parts.append('</div>')
  return '\n'.join([*parts, '</section>'])


def _table(table):
  columns = list(dict.fromkeys(c for row in table.rows.values() for c in row))
  names = ''.join(f'<th scope="col">{html.escape(c)}</th>' for c in columns)
  lines = [f'<tr><th></th>{names}</tr>']
  for name, scores in table.rows.items():
    cells = ''.join(_cell(scores, column) for column in columns)
    lines.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>')
  caption = f'<caption>{html.escape(table.caption)}</caption>'
  rows = '\n'.join(lines)
  return f'<div class="scroll"><table>\n{caption}\n{rows}\n</table></div>'


def _cell(scores, column):
  if column not in scores:
    return '<td>–</td>'
  text = f'{scores[column]:.3f}'
  is_best = text == f'{max(scores.values()):.3f}'
  return f'<td><b>{text}</b></td>' if is_best else f'<td>{text}</td>'


def _figure(media):
  source, caption = parse.quote(media.file), html.escape(media.caption)
  if media.file.endswith('.mp4'):
    shown = (
        f'<video src="{source}" controls loop muted autoplay playsinline>'
        '</video>'
    )
  else:
    shown = f'<img src="{source}" alt="{caption}" loading="lazy">'
  return f'<figure>{shown}<figcaption>{caption}</figcaption></figure>'
