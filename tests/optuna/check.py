"""Opens what `robustnas report RUN --optuna FILE.log` wrote by Optuna and by optuna-dashboard, and compares it with the run's
ranked.json: `python check.py FILE.log RUN/ranked.json`."""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState


def dominates(a, b):
    return all(x >= y for x, y in zip(a, b)) and a != b


def dashboard(storage, study):
    """The dashboard's own answers, without a server."""
    from optuna_dashboard import wsgi

    app = wsgi(storage)

    def get(path):
        seen, environ = {}, {"PATH_INFO": path}
        setup_testing_defaults(environ)
        body = b"".join(app(environ, lambda status, headers, *rest: seen.update(status=status)))
        assert seen["status"].startswith("200"), (path, seen, body[:500])
        return json.loads(body)

    studies = get("/api/studies")["study_summaries"]
    assert [s["study_name"] for s in studies] == [study.study_name], studies
    found = get(f"/api/studies/{studies[0]['study_id']}")
    assert len(found["trials"]) == len(study.trials)
    return found


def main():
    log, ranked = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        # A storage writes into its file.
        copy = Path(folder) / log.name
        shutil.copy(log, copy)
        storage = JournalStorage(JournalFileBackend(str(copy)))
        study = optuna.load_study(study_name=None, storage=storage)
        assert [d.name for d in study.directions] == ["MAXIMIZE", "MAXIMIZE"], study.directions
        assert study.metric_names == ["clean", "robust"], study.metric_names
        entries = {(e["arch"], e["origin"], e["budget"]): e for b in ranked["budgets"] for e in b["entries"]}
        assert len(study.trials) == len(entries)
        rankable = []
        for trial in study.trials:
            origin = trial.params["origin"].replace("-", "_")
            entry = entries[trial.user_attrs["arch"], origin, trial.params["budget"]]
            assert trial.params["macs"] == entry["cost"]["macs"] and trial.params["params"] == entry["cost"]["params"]
            assert trial.params["layout"] == entry["summary"]
            if entry["status"] == "failed":
                assert trial.state == TrialState.FAIL and trial.user_attrs["reason"] == entry["reason"]
                continue
            share = lambda tally: tally["hit"] / tally["total"]
            expected = [share(entry["validation"][key]) for key in ("clean", "robust")]
            assert trial.state == TrialState.COMPLETE and trial.values == expected, (trial.values, expected)
            if entry["rank"] is not None:
                rankable.append((trial.number, trial.values))
        best = {n for n, v in rankable if not any(dominates(other, v) for _, other in rankable)}
        assert {t.number for t in study.best_trials} == best, (study.best_trials, best)
        dashboard(storage, study)
        # People copy studies into storages of their own, and go on with them.
        other = JournalStorage(JournalFileBackend(str(copy) + ".copy"))
        optuna.copy_study(from_study_name=study.study_name, from_storage=storage, to_storage=other)
        assert [t.values for t in optuna.load_study(study_name=None, storage=other).trials] == [t.values for t in study.trials]
        study.add_trial(study.trials[0])
        again = optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(copy))))
        assert len(again.trials) == len(entries) + 1
    print(f"{len(entries)} trials, {len(best)} of them best, agree; optuna {optuna.__version__}")


if __name__ == "__main__":
    main()
