"""A web page of results, with videos, pictures and tables, in one file."""

import base64
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import html
from importlib import resources
import math
import mimetypes
import os
import pathlib
import string
from typing import Any

from vidcolor import files

# NaN, None and a column that a row lacks show as a dash.
Cell = float | int | str | None


@dataclasses.dataclass(frozen=True)
class Media:
  """A picture or an MP4 video.

  Attributes:
    file: Its path, relative to the page's folder.
    caption: What it shows, in plain words.
  """

  file: str
  caption: str


@dataclasses.dataclass(frozen=True)
class Table:
  """Scores, which the reader can sort by any column.

  Attributes:
    rows: By row's name, such as a sequence: cells by column's name, such as a
      method or a metric.
    caption: What the scores are.
    row_header: What the rows are.
    summary: Rows, such as means, that stay above the others.
    best: `max` or `min`, to set the best number of each row in bold; only for
      columns of numbers that compare, such as methods.
  """

  rows: Mapping[str, Mapping[str, Cell]]
  caption: str
  row_header: str = 'sequence'
  summary: Mapping[str, Mapping[str, Cell]] = dataclasses.field(
      default_factory=dict
  )
  best: Callable[..., Any] | None = None


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

  The page holds its media (in base64, a third larger than the files) and
  fetches nothing, so it can be sent as it is. Show a choice of films, not all:
  a page of 150 MB takes a browser seconds to open, and not every browser plays
  a film of more than some 20 MB from a page.

  Args:
    path: HTML file, in the folder that the media's paths start from.
    title: Of the page.
    sections: In order.

  Raises:
    FileNotFoundError: a media's file is not there.
  """
  path = pathlib.Path(path)
  template = resources.files('vidcolor.render') / 'report.html'
  page = string.Template(template.read_text(encoding='utf-8')).substitute(
      title=html.escape(title),
      sections='\n'.join(
          _section(section, path.parent) for section in sections
      ),
  )
  with files.atomic_write(path) as temporary:
    # Names of files may hold bytes that are no text.
    temporary.write_text(page, encoding='utf-8', errors='replace')


def _section(section, folder):
  parts = ['<section>', f'<h2>{html.escape(section.title)}</h2>']
  if section.text:
    parts.append(f'<p>{html.escape(section.text)}</p>')
  if section.table:
    parts.append(_table(section.table))
  if section.media:
    parts.append('<div class="media">')
    parts.extend(_figure(media, folder) for media in section.media)
    parts.append('</div>')
  return '\n'.join([*parts, '</section>'])


def _table(table):
  rows = [*table.rows.values(), *table.summary.values()]
  columns = list(dict.fromkeys(column for row in rows for column in row))
  heads = ''.join(
      f'<th scope="col"><button>{html.escape(name)}</button></th>'
      for name in [table.row_header, *columns]
  )
  body = lambda rows: '\n'.join(
      f'<tr><th scope="row">{html.escape(name)}</th>'
      f'{_cells([row.get(column) for column in columns], table.best)}</tr>'
      for name, row in rows.items()
  )
  return f"""<figure>
<figcaption>{html.escape(table.caption)}</figcaption>
<div class="scroll"><table>
<thead><tr>{heads}</tr></thead>
<tbody class="summary">{body(table.summary)}</tbody>
<tbody>{body(table.rows)}</tbody>
</table></div>
</figure>"""


def _cells(row, best):
  texts = [_text(cell) for cell in row]
  # By what is shown, so that all that look the best are bold.
  bold = best and best(filter(None, texts), key=float, default=None)
  return ''.join(
      f'<td><b>{text}</b></td>' if text == bold else f'<td>{text}</td>'
      for text in texts
  )


def _text(cell):
  if isinstance(cell, str):
    return html.escape(cell)
  if cell is None or math.isnan(cell):
    return ''
  return str(cell) if isinstance(cell, int) else f'{cell:.3f}'


def _figure(media, folder):
  kind, _ = mimetypes.guess_type(media.file)
  data = base64.b64encode((folder / media.file).read_bytes()).decode()
  source, caption = f'data:{kind};base64,{data}', html.escape(media.caption)
  if kind == 'video/mp4':
    shown = (
        f'<video src="{source}" controls loop muted autoplay playsinline>'
        '</video>'
    )
  else:
    shown = f'<img src="{source}" alt="{caption}">'
  return f'<figure>{shown}<figcaption>{caption}</figcaption></figure>'
