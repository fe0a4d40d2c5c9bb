"""Writes a web page of results: videos, pictures and tables in one file."""

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

# Some browsers play no larger film that is part of a page.
_MAX_FILM_BYTES = 20e6

# NaN, None and columns that a row lacks are shown as a dash.
Cell = float | int | str | None


@dataclasses.dataclass(frozen=True)
class Media:
  """A picture or an MP4 video.

  Attributes:
    file: The path, relative to the page's folder.
    caption: What the picture or video shows.
  """

  file: str
  caption: str


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of metrics, which the reader can sort by any column.

  Attributes:
    rows: The cells, by the name of the row, such as a sequence, and by the name
      of the column, such as a method or a metric.
    caption: What the table shows.
    row_header: The header of the column of row names.
    summary: Rows that stay above the others, such as means.
    best: `max` or `min`, to show the best number of each row in bold. Use it
      only if the numbers of a row are comparable, such as those of methods.
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
  """A section of the page.

  Attributes:
    title: The heading.
    text: The paragraph below the heading.
    table: The table below the text.
    media: The pictures and videos below the table, side by side if they fit.
  """

  title: str
  text: str = ''
  table: Table | None = None
  media: Sequence[Media] = ()


def write_page(
    path: str | os.PathLike, *, title: str, sections: Sequence[Section]
) -> None:
  """Writes the page in one atomic step.

  The page holds its media in base64, which is a third larger than the files. It
  loads nothing else, so a person can send it as one file. Show few films: a
  browser takes seconds to open a page of 150 MB, and some browsers play no film
  of more than about 20 MB from within a page.

  Args:
    path: The HTML file. Paths of media are relative to its folder.
    title: The title of the page.
    sections: The sections, in order.

  Raises:
    FileNotFoundError: A file of the media does not exist.
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
    # File names may contain bytes that are not valid text.
    temporary.write_text(page, encoding='utf-8', errors='replace')


def film_section(
    folder: pathlib.Path, file: str, title: str, text: str
) -> Section:
  """Returns a section with a film, or with its name if it is too long.

  Args:
    folder: The folder of the page.
    file: The name of the film in this folder.
    title: The heading.
    text: The paragraph below the heading.
  """
  if (folder / file).stat().st_size > _MAX_FILM_BYTES:
    return Section(
        title, f'{text} The film is too long for a page: see {file}.'
    )
  return Section(title, text, media=[Media(file, file)])


def _section(section, folder):
  parts = ['<section>', f'<h2>{html.escape(section.title)}</h2>']
  if section.text:
    parts.append(f'<p>{html.escape(section.text)}</p>')
  if section.table:
    parts.append(_table(section.table))
  if section.media:
    parts.append('<div class="media">')
    parts.extend(_media(media, folder) for media in section.media)
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
  # Compares the rounded numbers: all cells that show the best one are bold.
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


def _media(media, folder):
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
