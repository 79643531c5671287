-- `run` buys only once a person has bought a first label; whoever bought before this was asked goes on.

INSERT INTO meta SELECT 'bought_by_hand', min(coalesce(bought_at, '2026-01-01T00:00:00Z')) FROM labels
  WHERE state = 'bought' AND source <> 'file' HAVING count(*) > 0;
