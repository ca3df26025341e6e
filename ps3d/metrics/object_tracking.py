"""MOTSA, CLEAR-MOT, IDF1 and HOTA of one class, from the objects of each frame.

Two conventions are in use. TrackEval matches at IoU >= 1/2 and keeps the matches of the frame before; mots_tools,
the evaluator of the MOTS paper, matches at IoU > 1/2, where no choice is left. Both are here, under their names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.optimize import linear_sum_assignment

from ps3d.metrics.object_tracks import ObjectCounts, ObjectFrame, ObjectTable

EPS = float(np.finfo(float).eps)
Figures = dict[str, int | float]


def mots(sequences: Mapping[str, ObjectTable]) -> Figures:
    """MOTSA, sMOTSA, MOTSP and their parts as mots_tools counts them (Voigtlaender et al., CVPR 2019)."""
    summed: Figures = {}
    for table in sequences.values():
        for name, value in _mots_sequence(table).items():
            summed[name] = summed.get(name, 0) + value
    tp, fp, fn, switches = (summed[name] for name in ("tp", "fp", "fn", "id_switches"))
    truths, matched_iou, tracks = summed["n_gt"], summed["total_cost"], summed["n_gt_trajectories"]
    summed["recall"] = tp / (tp + fn) if tp + fn and tp + fp else 0.0
    summed["precision"] = tp / (tp + fp) if tp + fn and tp + fp else 0.0
    both = summed["recall"] + summed["precision"]
    summed["F1"] = 2 * summed["recall"] * summed["precision"] / both if both else 0.0
    summed["FAR"] = fp / summed["total_num_frames"]
    nothing = -float("inf")
    soft = np.log10(switches) if switches else 0.0
    summed["MOTSA"] = 1 - (fn + fp + switches) / truths if truths else nothing
    summed["MODSA"] = 1 - (fn + fp) / truths if truths else nothing
    summed["MOTSAL"] = 1 - (fn + fp + soft) / truths if truths else nothing
    summed["sMOTSA"] = (matched_iou - fp - switches) / truths if truths else nothing
    summed["MOTSP"] = matched_iou / tp if tp else float("inf")
    summed["MODSP"] /= summed["total_num_frames"]
    for name in ("MT", "PT", "ML"):
        summed[name] = summed[name] / tracks if tracks else 0.0
    return summed


def _mots_sequence(table: ObjectTable) -> Figures:
    names = ("n_itr", "tp", "fp", "fn", "total_cost", "fragments", "id_switches", "MT", "PT", "ML")
    counts: Figures = dict.fromkeys(names, 0)
    history: dict[int, list[int]] = {}
    with_objects, precision = 0, 0.0
    for frame in table:
        with_objects += 1
        row, column = np.nonzero(frame.iou > 0.5)
        match = dict(zip(frame.truth_id[row].tolist(), frame.prediction_id[column].tolist(), strict=True))
        for track in frame.truth_id.tolist():
            history.setdefault(track, []).append(match.get(track, -1))
        is_free = np.ones(len(frame.prediction_id), bool)
        is_free[column] = False
        ignored = int((is_free & (frame.ignored > 0.5)).sum())
        matched = float(frame.iou[row, column].sum())
        counts["tp"] += len(row)
        counts["fn"] += len(frame.truth_id) - len(row)
        counts["fp"] += len(frame.prediction_id) - len(row) - ignored
        counts["n_itr"] += ignored
        counts["total_cost"] += matched
        precision += matched / len(row) if len(row) else 1.0
    for matches in history.values():
        for name, value in _follow(matches).items():
            counts[name] += value
    counts["MODSP"] = precision + table.frames - with_objects
    counts |= {"n_gt": len(table.truth_id), "n_tr": len(table.prediction_id), "total_num_frames": table.frames}
    counts["n_gt_trajectories"] = len(history)
    counts["n_tr_trajectories"] = len(np.unique(table.prediction_id))
    return counts


def _follow(matches: list[int]) -> Figures:
    """Switches, fragments and how much of one true track is matched; -1 = not matched."""
    if all(match == -1 for match in matches):
        return {"ML": 1}
    switches = fragments = 0
    last = matches[0]
    for f in range(1, len(matches)):
        now, is_final = matches[f], f == len(matches) - 1
        if now != -1 and last not in (-1, now):
            switches += 1
        if now not in (-1, matches[f - 1]) and last != -1 and not is_final and matches[f + 1] != -1:
            fragments += 1
        if now != -1:
            last = now
        # The official code looks at the last frame once more, after `last` became its match.
        if is_final and matches[f - 1] != now and last != -1 and now != -1:
            fragments += 1
    share = sum(match != -1 for match in matches) / len(matches)
    grade = "MT" if share > 0.8 else "ML" if share < 0.2 else "PT"
    return {"id_switches": switches, "fragments": fragments, grade: 1}


def without_ignored(table: ObjectTable) -> ObjectTable:
    """Without the unmatched predictions (IoU under 1/2) that lie mostly in ignored regions, as TrackEval prepares."""
    drop = set()
    for frame in table:
        score = np.where(frame.iou < 0.5 - EPS, -10000.0, frame.iou)
        row, column = linear_sum_assignment(-score)
        matched = column[score[row, column] > EPS]
        is_free = np.ones(len(frame.prediction_id), bool)
        is_free[matched] = False
        gone = frame.prediction_id[is_free & (frame.ignored > 0.5 + EPS)]
        drop |= {(frame.number, int(number)) for number in gone}
    prediction = zip(table.prediction_frame.tolist(), table.prediction_id.tolist(), strict=True)
    keep = np.array([key not in drop for key in prediction], bool)
    pairs = zip(table.pair_frame.tolist(), table.pair_prediction.tolist(), strict=True)
    keep_pair = np.array([key not in drop for key in pairs], bool)
    return ObjectTable(
        table.frames,
        table.truth_frame,
        table.truth_id,
        table.prediction_frame[keep],
        table.prediction_id[keep],
        table.prediction_ignored[keep],
        table.pair_frame[keep_pair],
        table.pair_truth[keep_pair],
        table.pair_prediction[keep_pair],
        table.pair_iou[keep_pair],
    )


def clear_mot(sequences: Mapping[str, ObjectTable]) -> Figures:
    """CLEAR-MOT as TrackEval counts it (Bernardin and Stiefelhagen, 2008); on masks MOTA is MOTSA, sMOTA sMOTSA."""
    summed: Figures = {}
    for table in sequences.values():
        for name, value in _clear_sequence(table).items():
            summed[name] = summed.get(name, 0) + value
    return _clear_ratios(summed)


def _clear_sequence(table: ObjectTable) -> Figures:
    names = ("CLR_TP", "CLR_FN", "CLR_FP", "IDSW", "MT", "PT", "ML", "Frag", "CLR_Frames", "MOTP_sum")
    counts: Figures = dict.fromkeys(names, 0)
    tracks = np.unique(table.truth_id)
    if len(table.prediction_id) == 0:
        return counts | {"CLR_FN": len(table.truth_id), "ML": len(tracks)}
    if len(table.truth_id) == 0:
        return counts | {"CLR_FP": len(table.prediction_id)}
    seen, matched, begun = (dict.fromkeys(tracks.tolist(), 0) for _ in range(3))
    ever: dict[int, int] = {}
    previous: dict[int, int] = {}
    for frame in table:
        for track in frame.truth_id.tolist():
            seen[track] += 1
        if len(frame.truth_id) and len(frame.prediction_id):
            now = _continue_matches(frame, previous, counts)
            counts["IDSW"] += sum(ever.get(track, number) != number for track, number in now.items())
            for track in now:
                matched[track] += 1
                begun[track] += track not in previous
            ever |= now
            previous = now
        hits = len(previous) if len(frame.truth_id) and len(frame.prediction_id) else 0
        counts["CLR_TP"] += hits
        counts["CLR_FN"] += len(frame.truth_id) - hits
        counts["CLR_FP"] += len(frame.prediction_id) - hits
    share = np.array([matched[track] / seen[track] for track in seen])
    counts["MT"] = int((share > 0.8).sum())
    counts["PT"] = int((share >= 0.2).sum()) - counts["MT"]
    counts["ML"] = len(tracks) - counts["MT"] - counts["PT"]
    counts["Frag"] = sum(count - 1 for count in begun.values() if count > 0)
    counts["CLR_Frames"] = table.frames
    return counts


def _continue_matches(frame: ObjectFrame, previous: Mapping[int, int], counts: Figures) -> dict[int, int]:
    """Matches of a frame: those of the frame before first, then the largest sum of IoUs; adds the IoUs to `counts`."""
    stays = np.array([[previous.get(t) == p for p in frame.prediction_id.tolist()] for t in frame.truth_id.tolist()])
    score = np.where(frame.iou < 0.5 - EPS, 0.0, 1000.0 * stays + frame.iou)
    row, column = linear_sum_assignment(-score)
    is_match = score[row, column] > EPS
    row, column = row[is_match], column[is_match]
    counts["MOTP_sum"] += float(frame.iou[row, column].sum())
    return dict(zip(frame.truth_id[row].tolist(), frame.prediction_id[column].tolist(), strict=True))


def _clear_ratios(counts: Figures) -> Figures:
    tp, fp, fn, switches = (counts[name] for name in ("CLR_TP", "CLR_FP", "CLR_FN", "IDSW"))
    tracks = max(1.0, counts["MT"] + counts["PT"] + counts["ML"])
    truths = max(1.0, tp + fn)
    soft = np.log10(switches) if switches > 0 else switches
    return counts | {
        "MTR": counts["MT"] / tracks,
        "PTR": counts["PT"] / tracks,
        "MLR": counts["ML"] / tracks,
        "CLR_Re": tp / truths,
        "CLR_Pr": tp / max(1.0, tp + fp),
        "MODA": (tp - fp) / truths,
        "MOTA": (tp - fp - switches) / truths,
        "MOTP": counts["MOTP_sum"] / max(1.0, tp),
        "sMOTA": (counts["MOTP_sum"] - fp - switches) / truths,
        "CLR_F1": tp / max(1.0, tp + 0.5 * fn + 0.5 * fp),
        "FP_per_frame": fp / max(1.0, counts["CLR_Frames"]),
        "MOTAL": (tp - fp - soft) / truths,
    }


def identity(sequences: Mapping[str, ObjectTable]) -> Figures:
    """IDF1 and its parts: one predicted number per true track for a whole sequence (Ristani et al., 2016)."""
    hits = misses = extras = 0
    for table in sequences.values():
        tracks, truth_count = np.unique(table.truth_id, return_counts=True)
        numbers, prediction_count = np.unique(table.prediction_id, return_counts=True)
        together = np.zeros((len(tracks), len(numbers)))
        is_match = table.pair_iou >= 0.5
        where = (
            np.searchsorted(tracks, table.pair_truth[is_match]),
            np.searchsorted(numbers, table.pair_prediction[is_match]),
        )
        np.add.at(together, where, 1)
        best = _identity_hits(together, truth_count, prediction_count)
        hits += best
        misses += int(truth_count.sum()) - best
        extras += int(prediction_count.sum()) - best
    return {
        "IDTP": hits,
        "IDFN": misses,
        "IDFP": extras,
        "IDR": hits / max(1.0, hits + misses),
        "IDP": hits / max(1.0, hits + extras),
        "IDF1": hits / max(1.0, hits + 0.5 * misses + 0.5 * extras),
    }


def _identity_hits(together: np.ndarray, truth_count: np.ndarray, prediction_count: np.ndarray) -> int:
    """Most frames that a one-to-one assignment of tracks to numbers explains. No match is as good as a match of 0."""
    row, column = linear_sum_assignment(-together)
    return int(together[row, column].sum())


ALPHAS = np.arange(0.05, 0.99, 0.05)


@dataclass(frozen=True)
class Hota:
    """HOTA and its parts at 19 thresholds (Luiten et al., IJCV 2021)."""

    tp: Float64[np.ndarray, "19"]
    fn: Float64[np.ndarray, "19"]
    fp: Float64[np.ndarray, "19"]
    ass_a: Float64[np.ndarray, "19"]
    ass_re: Float64[np.ndarray, "19"]
    ass_pr: Float64[np.ndarray, "19"]
    loc_a: Float64[np.ndarray, "19"]

    def figures(self) -> dict[str, Float64[np.ndarray, "19"]]:
        """By TrackEval's names."""
        det_re = self.tp / np.maximum(1, self.tp + self.fn)
        det_a = self.tp / np.maximum(1, self.tp + self.fn + self.fp)
        return {
            "HOTA": np.sqrt(det_a * self.ass_a),
            "DetA": det_a,
            "AssA": self.ass_a,
            "DetRe": det_re,
            "DetPr": self.tp / np.maximum(1, self.tp + self.fp),
            "AssRe": self.ass_re,
            "AssPr": self.ass_pr,
            "LocA": self.loc_a,
            "OWTA": np.sqrt(det_re * self.ass_a),
            "HOTA_TP": self.tp,
            "HOTA_FN": self.fn,
            "HOTA_FP": self.fp,
        }


def hota(sequences: Mapping[str, ObjectTable]) -> Hota:
    """HOTA of one class: counts summed over sequences, association and localization weighted by true positives."""
    parts = [_hota_sequence(table) for table in sequences.values()]
    tp, fn, fp = (np.sum([getattr(part, name) for part in parts], 0) for name in ("tp", "fn", "fp"))

    def weighted(name: str) -> np.ndarray:
        return np.sum([getattr(part, name) * part.tp for part in parts], 0)

    association = [weighted(name) / np.maximum(1.0, tp) for name in ("ass_a", "ass_re", "ass_pr")]
    localization = np.maximum(1e-10, weighted("loc_a")) / np.maximum(1e-10, tp)
    return Hota(tp, fn, fp, *association, localization)


def _hota_sequence(table: ObjectTable) -> Hota:
    zero, one = np.zeros(len(ALPHAS)), np.ones(len(ALPHAS))
    truths, predictions = len(table.truth_id), len(table.prediction_id)
    if truths == 0 or predictions == 0:
        return Hota(zero, truths * one, predictions * one, zero, zero, zero, one)
    tracks, truth_count = np.unique(table.truth_id, return_counts=True)
    numbers, prediction_count = np.unique(table.prediction_id, return_counts=True)
    frames = [(np.searchsorted(tracks, f.truth_id), np.searchsorted(numbers, f.prediction_id), f.iou) for f in table]
    potential = np.zeros((len(tracks), len(numbers)))
    for row, column, iou in frames:
        total = iou.sum(0)[None] + iou.sum(1)[:, None] - iou
        potential[row[:, None], column] += np.divide(iou, total, out=np.zeros_like(iou), where=total > EPS)
    alignment = potential / (truth_count[:, None] + prediction_count - potential)
    matches = np.zeros((len(ALPHAS), len(tracks), len(numbers)))
    tp, located = zero.copy(), zero.copy()
    for row, column, iou in frames:
        i, j = linear_sum_assignment(-alignment[row[:, None], column] * iou)
        for a, alpha in enumerate(ALPHAS):
            is_match = iou[i, j] >= alpha - EPS
            matches[a, row[i[is_match]], column[j[is_match]]] += 1
            tp[a] += is_match.sum()
            located[a] += iou[i, j][is_match].sum()
    possible = np.maximum(1, truth_count[:, None] + prediction_count - matches)
    weights = [possible, np.maximum(1, truth_count[:, None]), np.maximum(1, prediction_count)]
    association = [(matches * (matches / weight)).sum((1, 2)) / np.maximum(1, tp) for weight in weights]
    localization = np.maximum(1e-10, located) / np.maximum(1e-10, tp)
    return Hota(tp, truths - tp, predictions - tp, *association, localization)


def motmetrics_scores(sequences: Mapping[str, ObjectTable]) -> Figures:
    """CLEAR-MOT and IDF1 by py-motmetrics; `motp` is the mean distance 1 - IoU there, lower is better."""
    frames = []
    for table in sequences.values():
        rows = [(f.truth_id, f.prediction_id, np.where(f.iou < 0.5, np.nan, 1 - f.iou)) for f in table]
        frames.append(rows)
    return score_distances(frames)


def score_distances(sequences: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]]) -> Figures:
    """py-motmetrics on the distances of each frame: (true ids, predicted ids, distance or NaN for no match)."""
    import motmetrics

    accumulators = []
    for frames in sequences:
        accumulator = motmetrics.MOTAccumulator(auto_id=False)
        for number, (truth_id, prediction_id, distance) in enumerate(frames):
            accumulator.update(truth_id, prediction_id, distance, frameid=number)
        accumulators.append(accumulator)
    host = motmetrics.metrics.create()
    names = [*motmetrics.metrics.motchallenge_metrics, "idtp", "idfn", "idfp", "num_frames", "num_objects"]
    names += ["num_predictions", "num_matches", "num_transfer", "num_ascend", "num_migrate"]
    names = list(dict.fromkeys(names))
    if len(accumulators) == 1:
        table = host.compute(accumulators[0], metrics=names)
        return {name: float(table[name].iloc[0]) for name in names}
    table = host.compute_many(accumulators, metrics=names, generate_overall=True)
    return {name: float(table[name].loc["OVERALL"]) for name in names}


def object_scores(counts: ObjectCounts) -> dict[str, Figures]:
    """The headline figures of each class: HOTA, DetA and AssA (means over thresholds), MOTSA, sMOTSA, MOTSP, IDF1."""
    scores = {}
    for name, sequences in counts.classes.items():
        tables = {key: without_ignored(table) for key, table in sequences.items()}
        figures, official = hota(tables).figures(), mots(sequences)
        scores[name] = {key.lower(): float(figures[key].mean()) for key in ("HOTA", "DetA", "AssA")}
        scores[name] |= {key.lower(): float(official[key]) for key in ("MOTSA", "sMOTSA", "MOTSP")}
        scores[name] |= {"switches": official["id_switches"], "idf1": identity(tables)["IDF1"]}
    return scores
