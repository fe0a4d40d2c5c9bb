import pytest

from data_prep import licences
from vidcolor import errors

HEAD = 'frames\tfile\tsource\tlicence\n'


def _permitted(folder, *rows, leave_out=()):
  for row in rows:
    (folder / row.split('\t')[1]).touch()
  (folder / 'MANIFEST.tsv').write_text(HEAD + '\n'.join(rows))
  return list(licences.permitted_clips(folder, licences.PERMISSIVE, leave_out))


def test_permitted_clips_are_counted_by_source(tmp_path):
  clips = _permitted(
      tmp_path,
      '12\t0.mp4\tb/clips:0.mp4\tMIT',
      '12\t1.mp4\tA/more:1.mp4@main\tCC0 (by its README)',
      '12\t2.mp4\tA/more:2.mp4\tCC BY-NC 4.0',
      '12\t3.mp4\tb/clips:3.mp4\tMIT (doubtful)',
      '12\t4.mp4\tb/clips:4.mp4\tnone',
      '12\tbear.mp4\tb/clips:5.mp4\tMIT',
      '12\t6.mp4\tb/clips:6.mp4\tMIT',
      leave_out=['bear'],
  )
  assert [clip.file for clip in clips] == ['0.mp4', '1.mp4', '6.mp4']
  assert licences.sources(clips).splitlines() == [
      'source\tlicence\tclips',
      'A/more\tCC0 (by its README)\t1',
      'b/clips\tMIT\t2',
  ]


def test_a_clip_in_the_table_twice_is_refused(tmp_path):
  row = '12\t0.mp4\tb\tMIT'
  with pytest.raises(errors.UserError, match='line 3: 0.mp4 .*twice'):
    _permitted(tmp_path, row, row)


@pytest.mark.parametrize(
    ('table', 'told'),
    [
        (None, 'cannot be read'),
        (b'file\tsource\n0.mp4\tb', 'line 2 lacks one of file, source'),
        (b'file\tsource\tlicence\n0.mp4\tb\tMIT', '0.mp4 is missing'),
        (b'\xff\xfe\x00\x01', 'cannot be read'),
        (b'file\tsource\tlicence\n0.mp4\t"b\tMIT', 'cannot be read'),
        (b'file\tsource\tlicence\n../0.mp4\tb\tMIT', 'outside of'),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, table, told):
  if table is not None:
    (tmp_path / 'MANIFEST.tsv').write_bytes(table)
  with pytest.raises(errors.UserError, match=told):
    list(licences.permitted_clips(tmp_path, licences.PERMISSIVE, []))
