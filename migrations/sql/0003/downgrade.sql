DROP TABLE recorder.dead_letter, recorder.commit_mark;
