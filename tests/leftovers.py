"""Leaves in folders what macOS, Jupyter and Synology leave there."""

import pathlib
import shutil


def leave_in_all_folders(root: pathlib.Path) -> None:
  """Adds ._ files, .DS_Store, copies in .ipynb_checkpoints and so on."""
  folders = [root, *(path for path in root.rglob('*') if path.is_dir())]
  for folder in folders:
    paths = [path for path in folder.iterdir() if path.is_file()]
    others = [
        folder / name for name in ('.ipynb_checkpoints', '__MACOSX', '@eaDir')
    ]
    for other in others:
      other.mkdir()
    for path in paths:
      path.with_name(f'._{path.name}').write_bytes(bytes(82))
      for other in others:
        shutil.copy(path, other)
    for name in ('.DS_Store', 'Thumbs.db', 'desktop.ini'):
      (folder / name).write_bytes(bytes(82))
