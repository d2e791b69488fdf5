"""Training: losses, strategies, resumption, and that it learns."""

import copy
import math
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import keel
from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError, DataError
from keel.evaluation import dimer_curve
from keel.identity import of_settings, of_training
from keel.launch import launched
from keel.perturbation import PerturbationSettings
from keel.potentials.base import Prediction
from keel.potentials.sum import SumPotential, members_of
from keel.training import LossSettings, Strategy, TrainingSettings, train
from keel.training.batches import FrameBatches
from keel.training.checkpoint import TrainingState, load_state, save_state
from keel.training.delta import on_top_of, remainder, taken_apart, taught_remainder, walls_of
from keel.training.ema import MovingAverage
from keel.training.known import strategy_of
from keel.training.loop import USUAL_DECAY, keep_best, learning_rate, step, validate, validation_batches
from keel.training.losses import Objective, loss, penalty
from keel.training.metrics import TrainingError
from keel.training.preparation import aligned, prepare
from keel.training.sam import ascended
from keel.training.strategies import Stage, stages_of
from small_training import ARGON, SHORT, argon, network

FABRIC = launched("cpu")


def trained(seed: int = 0) -> keel.CGCNN:
    found = network(seed)
    found.trained = True
    return found


def weights(potential: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in potential.parameters()])


def prediction_of(graph: AtomGraph) -> Prediction:
    labels = graph.labels
    return Prediction(labels.energy.clone(), labels.forces.clone(), labels.stress.clone(), graph.positions[:, 0])


class TestLoss:
    def test_zero_for_a_perfect_prediction(self):
        graph = keel.batch(argon(3), 5.0)
        assert float(loss(prediction_of(graph), graph, 1.0, LossSettings()).total) == 0

    def test_known_value(self):
        graph = keel.batch(argon(2), 5.0)
        p = prediction_of(graph)
        off = Prediction(p.energy + 8 * 0.3, p.forces + 0.2, p.stress - 0.1, p.atomic_energies)
        parts = loss(off, graph, 2.0, LossSettings(kind="l1", energy=1, forces=10, stress=100, force_falloff=None))
        assert float(parts.energy) == pytest.approx(0.3 / 2)
        assert float(parts.forces) == pytest.approx(0.2 / 2, rel=1e-5)
        assert float(parts.stress) == pytest.approx(0.1 / 2, rel=1e-5)
        assert float(parts.total) == pytest.approx(0.15 + 1.0 + 5.0, rel=1e-5)

    def test_absent_labels_do_not_count(self):
        frames = argon(2)
        graph = keel.batch([frames[0], frames[1].replace(energy=None, stress=None)], 5.0)
        p = prediction_of(graph)
        wild = Prediction(
            p.energy + torch.tensor([0.0, 1e6]), p.forces, p.stress + torch.tensor([0, 1e6])[:, None, None], p.energy
        )
        assert float(loss(wild, graph, 1.0, LossSettings()).total) == 0

    def test_undefined_stress_gives_finite_gradients(self):
        frames = argon(2)
        cluster = frames[1].replace(pbc=np.zeros(3, bool))
        graph = keel.batch([frames[0], cluster], 5.0)
        net = network()
        loss(net(graph, differentiable=True), graph, 1.0, LossSettings()).total.backward()
        assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)

    def test_large_forces_weigh_less(self):
        frame = argon(1)[0]
        forces = np.zeros((8, 3))
        forces[0, 0] = 40.0
        graph = keel.batch(frame.replace(forces=forces), 5.0)
        p = prediction_of(graph)
        wrong = p.forces.clone()
        wrong[0, 0] += 1.0
        off = Prediction(p.energy, wrong, p.stress, p.energy)
        flat = loss(off, graph, 1.0, LossSettings(kind="l1", force_falloff=None)).forces
        falling = loss(off, graph, 1.0, LossSettings(kind="l1", force_falloff=4.0)).forces
        assert float(flat) == pytest.approx(1 / 24, rel=1e-5)
        assert float(falling) == pytest.approx(0.1 / (3 * 7.1), rel=1e-5)

    def test_without_labels_refused(self):
        graph = keel.batch(argon(1), 5.0)
        with pytest.raises(DataError, match="no labels"):
            loss(prediction_of(graph), graph.replace(labels=None), 1.0, LossSettings())

    @given(x=st.floats(-5, 5), kind=st.sampled_from(["l1", "l2", "huber"]))
    def test_penalties_are_even_and_grow(self, x, kind):
        def f(v):
            return float(penalty(torch.tensor(v, dtype=torch.float64), LossSettings(kind=kind)))

        assert f(x) == pytest.approx(f(-x))
        assert f(1.1 * x) >= f(x) >= 0


class TestStages:
    def test_budgets_are_equal(self):
        for name, strategy in keel.training.STRATEGIES.items():
            assert sum(s.steps for s in stages_of(strategy_of(name), SHORT)) == round(strategy.budget * SHORT.steps)
            assert strategy.budget == 1.0 or strategy.after is not None

    def test_the_rate_scales_that_of_every_stage(self):
        settings = TrainingSettings(steps=100, learning_rate=0.01, pretrain_learning_rate=0.04)
        gentle = Strategy(pretrain_share=0.5, rate=0.5)
        assert [s.learning_rate for s in stages_of(gentle, settings)] == [0.02, 0.005]
        assert "rate" in of_settings(gentle)
        assert "rate" not in of_settings(Strategy())

    def test_repair_needs_a_trained_network(self):
        with pytest.raises(ConfigError, match="continues from a network trained with 'vanilla'"):
            keel.train(network(), argon(3), strategy="repair", settings=SHORT)

    def test_a_trained_network_is_not_put_on_the_teacher(self):
        with pytest.raises(ConfigError, match="already trained"):
            keel.train(trained(), argon(3), strategy="eam-delta", teacher=network(), settings=SHORT)

    def test_a_small_share_is_a_step_and_one_step_cannot_be_shared(self):
        strategy = Strategy(pretrain_share=0.01)
        assert [s.steps for s in stages_of(strategy, SHORT)] == [1, SHORT.steps - 1]
        with pytest.raises(ConfigError, match="of 1 steps leaves no step"):
            stages_of(strategy, TrainingSettings(steps=1))

    def test_unknown_strategy(self):
        with pytest.raises(ConfigError, match="vanilla, sam, pretrain"):
            strategy_of("magic")

    @given(share=st.floats(0, 0.99), steps=st.integers(1, 400))
    def test_replay_is_evenly_spread(self, share, steps):
        stage = Stage("train", steps, 1e-3, share, None)
        taken = np.cumsum([stage.from_teacher(s) for s in range(steps)])
        assert np.all(np.abs(taken - share * np.arange(1, steps + 1)) <= 1 + 1e-6)

    @given(schedule=st.sampled_from(["cosine", "linear", "constant"]), steps=st.integers(1, 300))
    def test_learning_rate_stays_in_bounds(self, schedule, steps):
        settings_ = TrainingSettings(schedule=schedule, steps=steps)
        stage = Stage("train", steps, 1e-3, 0.0, None)
        rates = [learning_rate(stage, settings_, s) for s in range(steps)]
        assert min(rates) > 0
        assert max(rates) <= 1e-3 * (1 + 1e-9)


class TestBatches:
    @given(n=st.integers(1, 7), size=st.integers(1, 4), epoch=st.integers(0, 3))
    @settings(max_examples=20)
    def test_each_frame_once_in_an_epoch(self, n, size, epoch):
        frames = [f.replace(energy=float(k)) for k, f in enumerate(argon(n))]
        source = FrameBatches(frames, 5.0, 1, seed=3)
        seen = [float(source.batch(epoch * n + k).labels.energy) for k in range(n)]
        assert sorted(seen) == list(range(n))

    def test_ranks_share_an_epoch(self):
        frames = [f.replace(energy=float(k)) for k, f in enumerate(argon(8))]
        source = FrameBatches(frames, 5.0, 2, seed=0, ranks=2)
        seen = [e for step in range(2) for rank in range(2) for e in source.batch(step, rank).labels.energy.tolist()]
        assert sorted(seen) == list(range(8))

    def test_no_frames_or_no_labels(self):
        with pytest.raises(DataError, match="no frames"):
            FrameBatches([], 5.0, 1, 0)
        with pytest.raises(DataError, match="has a label to train on"):
            FrameBatches([argon(1)[0].replace(energy=None, forces=None, stress=None)], 5.0, 1, 0)


class TestSharpness:
    def test_climbs_and_returns(self):
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 1)
        x = torch.randn(5, 3)
        before = weights(layer)
        layer(x).square().sum().backward()
        low = float(layer(x).square().sum().detach())
        with ascended(layer, rho=0.05):
            assert float(layer(x).square().sum().detach()) > low
            assert layer.weight.grad is None
        assert torch.equal(weights(layer), before)

    def test_length_of_the_step(self):
        """|T^-1 epsilon| = rho, with T = |w| + eta."""
        layer = torch.nn.Linear(4, 2)
        before = weights(layer)
        layer(torch.randn(5, 4)).sum().backward()
        with ascended(layer, rho=0.3, eta=0.01):
            step = (weights(layer) - before) / (before.abs() + 0.01)
        assert float(step.norm()) == pytest.approx(0.3, rel=1e-4)


class TestMovingAverage:
    def test_constant_weights_are_their_own_average(self):
        layer = torch.nn.Linear(2, 2)
        average = MovingAverage(layer, 0.9)
        for done in range(5):
            average.update(done)
        assert torch.allclose(average.weights["weight"], layer.weight)

    def test_applied_only_for_a_while(self):
        layer = torch.nn.Linear(2, 2)
        average = MovingAverage(layer, 0.9)
        own = weights(layer)
        average.weights = {k: v + 1 for k, v in average.weights.items()}
        with average.applied(layer):
            assert torch.allclose(weights(layer), own + 1)
        assert torch.equal(weights(layer), own)


class TestTrain:
    def test_learns_argon(self):
        frames = argon(24)
        result = train(
            network(features=16, convolutions=2),
            frames[:16],
            validation=frames[16:20],
            settings=SHORT.model_copy(update={"steps": 250, "learning_rate": 1e-2, "validate_every": 50}),
        )
        test = keel.batch(frames[20:], 5.0)
        rest = test.labels.forces.abs().mean()
        error = (result.potential(test).forces - test.labels.forces).abs().mean()
        assert error < 0.5 * rest

    def test_same_seed_same_result(self):
        a, b, c = (train(network(), argon(6), settings=SHORT, seed=s).potential for s in (1, 1, 2))
        assert torch.equal(weights(a), weights(b))
        assert not torch.equal(weights(a), weights(c))

    @pytest.mark.parametrize("strategy", ["vanilla", "sam", "pretrain"])
    def test_resumed_run_ends_with_the_same_numbers(self, strategy, tmp_path):
        settings_ = SHORT.model_copy(update={"steps": 20})

        def go(folder: Path | None, stop_after: int | None = None):
            def on_step(row):
                nonlocal stop_after
                if stop_after is not None:
                    stop_after -= 1
                    if stop_after < 0:
                        raise KeyboardInterrupt

            return train(
                network(), argon(6), validation=argon(2, 1), teacher=ARGON, strategy=strategy, settings=settings_,
                folder=folder, loggers=[on_step],
            )  # fmt: skip

        whole = go(None)
        for stop in (1, 3, 9):
            with pytest.raises(KeyboardInterrupt):
                go(tmp_path, stop)
        resumed = go(tmp_path)
        assert torch.equal(weights(whole.potential), weights(resumed.potential))
        assert whole.gradient_evaluations == resumed.gradient_evaluations
        assert whole.history == resumed.history
        assert (tmp_path / "metrics.csv").read_text().count("\n") == 21

    def test_in_double_precision_too(self, tmp_path):
        settings_ = SHORT.model_copy(update={"precision": "64-true"})

        def go(folder: Path | None, strategy: str = "pretrain", **more):
            return train(
                network(), argon(6), teacher=ARGON, strategy=strategy, settings=settings_, folder=folder, **more
            )

        def stop(row):
            if row["step"] == 5:
                raise KeyboardInterrupt

        whole = go(None)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path, loggers=[stop])
        found = [weights(result.potential) for result in (whole, go(tmp_path))]
        assert found[0].dtype == torch.float64
        assert torch.equal(*found)
        assert not torch.equal(found[0].float().double(), found[0])

    def test_sam_takes_two_gradients(self):
        assert train(network(), argon(4), strategy="sam", settings=SHORT).gradient_evaluations == 2 * SHORT.steps

    def test_pretraining_counts_in_the_budget(self):
        result = train(network(), argon(4), strategy=Strategy(pretrain_share=0.25), teacher=ARGON, settings=SHORT)
        assert (result.pretrain_steps, result.train_steps) == (3, 9)
        assert [row["stage"] for row in result.history].count("pretrain") == 3

    def test_offsets_and_scale_come_from_the_dft_labels(self):
        frames = argon(6, offset=-1000.0)
        net = network()
        prepare(net, frames)
        rms = math.sqrt(np.mean(np.concatenate([f.forces for f in frames]) ** 2))
        assert float(net.scale) == pytest.approx(rms, rel=1e-5)
        assert float(net.energy_offsets[18]) == pytest.approx(np.mean([f.energy / 8 for f in frames]))

    def test_without_a_force_to_measure_by_the_scale_stays(self):
        frames = [f.replace(forces_mask=np.zeros(len(f), bool)) for f in argon(3)]
        net = network()
        prepare(net, frames)
        assert float(net.scale) == float(network().scale)

    def test_teacher_is_aligned_with_the_labels(self):
        frames = argon(6, offset=-1000.0)
        offsets = keel.fitting.fit_offsets(frames)
        moved = aligned(ARGON, frames, offsets)
        graph = keel.batch(frames, 6.0, dtype=torch.float64)
        assert torch.allclose(moved(graph).energy, graph.labels.energy, atol=1e-9)
        assert float(ARGON.energy_offsets.abs().sum()) == 0

    def test_refusals(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(DataError, match="file: the folder cannot be made"):
            train(network(), argon(4), settings=SHORT, folder=tmp_path / "file")
        with pytest.raises(ConfigError, match="needs a teacher"):
            train(network(), argon(4), strategy="pretrain", settings=SHORT)
        with pytest.raises(DataError, match=r"knows .* but the structures contain Ar; name all"):
            train(network(elements=["Ne"]), argon(4), settings=SHORT)
        if not torch.cuda.is_available():
            with pytest.raises(ConfigError, match="no CUDA device"):
                train(network(), argon(4), settings=SHORT.model_copy(update={"device": "cuda"}))
        train(network(), argon(4), settings=SHORT, folder=tmp_path)
        with pytest.raises(ConfigError, match="other settings or data"):
            train(network(), argon(5), settings=SHORT, folder=tmp_path)

    def test_divergence_is_reported(self):
        wild = SHORT.model_copy(update={"learning_rate": 1e30, "warmup_steps": 0})
        with pytest.raises(TrainingError, match="lower the learning rate"):
            train(network(), argon(3), settings=wild)


class TestReplay:
    @pytest.fixture
    def take(self):
        """Take one step of plain gradient descent; return how far the weights went, and the state."""

        def take(first: int, usual_norm: float | None) -> tuple[float, TrainingState]:
            net = network()
            prepare(net, argon(4))
            state = TrainingState(net, MovingAverage(net, 0.9), step=first, usual_norm=usual_norm)
            stage = Stage("train", 10, 1.0, teacher_share=0.5, sam_rho=None)
            before = weights(net)
            step(
                FABRIC, state, FABRIC.setup_module(Objective(net, SHORT.loss)),
                torch.optim.SGD(net.parameters(), lr=1.0), [keel.batch(argon(4), 5.0)], stage, SHORT,
            )  # fmt: skip
            return float(torch.linalg.vector_norm(weights(net) - before)), state

        return take

    def test_teacher_batches_among_others_do_not_lead(self, take):
        moved, state = take(1, 1e-3)  # every second batch is the teacher's
        assert moved == pytest.approx(SHORT.replay_clip * 1e-3, rel=1e-3)
        assert state.usual_norm == 1e-3

    def test_dft_batches_say_what_is_usual(self, take):
        moved, state = take(0, 1e-3)
        assert moved > 0.1
        assert state.usual_norm == pytest.approx(USUAL_DECAY * 1e-3 + (1 - USUAL_DECAY) * moved, rel=1e-3)
        moved, state = take(0, None)
        assert state.usual_norm == pytest.approx(moved, rel=1e-3)

    def test_nothing_is_usual_before_the_first_dft_batch(self, take):
        moved, state = take(1, None)
        assert moved > 0.1
        assert state.usual_norm is None


class TestCheckpoint:
    def test_damaged(self, tmp_path):
        path = tmp_path / "checkpoint.safetensors"
        net = network()
        state = TrainingState(net, MovingAverage(net, 0.9))
        save_state(path, state, None, "x")
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(DataError, match="delete it to start again"):
            load_state(path, state, "x")

    def test_round_trip(self, tmp_path):
        net, other = network(0), network(1)
        optimizer = torch.optim.AdamW(net.parameters())
        net(keel.batch(argon(1), 5.0), differentiable=True).forces.square().sum().backward()
        optimizer.step()
        state = TrainingState(net, MovingAverage(net, 0.9), stage=1, step=7, history=[{"a": 0.1}], best_score=0.3)
        state.usual_norm = 0.7
        save_state(tmp_path / "c.safetensors", state, optimizer, "x")
        target = TrainingState(other, MovingAverage(other, 0.9))
        entries = load_state(tmp_path / "c.safetensors", target, "now", "x")
        assert torch.equal(weights(net), weights(other))
        assert (target.stage, target.step, target.history, target.best_score) == (1, 7, [{"a": 0.1}], 0.3)
        assert target.usual_norm == 0.7
        for index, values in optimizer.state_dict()["state"].items():
            assert all(torch.equal(torch.as_tensor(v), entries[index][k]) for k, v in values.items())


def test_a_checkpoint_belongs_to_what_matters(tmp_path):
    """How structures would be perturbed does not concern a strategy that perturbs none."""
    frames = argon(3)
    for strategy, changed in (("vanilla", False), ("pretrain", True)):
        folder = tmp_path / strategy
        arguments = {"strategy": strategy, "teacher": ARGON, "settings": SHORT, "folder": folder}
        first = keel.train(network(), frames, perturbation=PerturbationSettings(rounds=2), **arguments)
        other = PerturbationSettings(rounds=3)
        if changed:
            with pytest.raises(ConfigError, match="belongs to other settings"):
                keel.train(network(), frames, perturbation=other, **arguments)
        else:
            again = keel.train(network(), frames, perturbation=other, **arguments)
            assert torch.equal(weights(again.potential), weights(first.potential))


def test_settings_of_the_perturbation_that_are_not_given_count_by_what_they_are(tmp_path, monkeypatch):
    """Once they had no part in the name of a checkpoint, which is found while no default has changed."""
    frames, arguments = argon(3), {"strategy": "pretrain", "teacher": ARGON, "settings": SHORT, "folder": tmp_path}

    def as_once(network, used, frames, rest):
        strategy, settings, _, seed = rest
        return of_training(network, used, frames, (strategy, settings, None, seed))

    monkeypatch.setattr("keel.identity.BEFORE", {})
    with monkeypatch.context() as once:
        once.setattr(import_module("keel.training.train"), "of_training", as_once)
        first = keel.train(network(), frames, **arguments)
    steps = []
    for moves in (None, PerturbationSettings()):
        again = keel.train(network(), frames, perturbation=moves, loggers=[steps.append], **arguments)
        assert torch.equal(weights(again.potential), weights(first.potential)) and not steps
    monkeypatch.setattr("keel.identity.BEFORE", {"PerturbationSettings": {"rounds": 3}})
    with pytest.raises(ConfigError, match="belongs to other settings"):
        keel.train(network(), frames, **arguments)
    keel.train(network(), frames, perturbation=PerturbationSettings(rounds=3), loggers=[steps.append], **arguments)
    assert not steps


@pytest.mark.parametrize("what", ["teacher", "start", "stress"])
def test_a_checkpoint_belongs_to_its_teacher_start_and_labels(what, tmp_path):
    frames, teacher, start = argon(3), ARGON, 0
    arguments = {"strategy": Strategy(replay_share=0.5), "settings": SHORT, "folder": tmp_path}
    keel.train(trained(start), frames, teacher=teacher, **arguments)
    keel.train(trained(start), frames, teacher=teacher, **arguments)
    if what == "teacher":
        teacher = keel.LennardJones(cutoff=6.0, epsilon=2 * ARGON.config()["epsilon"])
    elif what == "start":
        start = 1
    else:
        frames = [*frames[:-1], frames[-1].replace(stress=None)]
    with pytest.raises(ConfigError, match="belongs to other settings"):
        keel.train(trained(start), frames, teacher=teacher, **arguments)


class TestValidation:
    def test_errors_are_those_of_the_labels_there_are(self):
        known, bare = argon(4), argon(2, 1)
        frames = [*known, *(f.replace(energy=None) for f in bare)]
        state = TrainingState(network(), MovingAverage(network(), 0.9))
        prepare(state.network, known)
        state.average = MovingAverage(state.network, 0.9)
        objective = Objective(state.network, LossSettings())
        row = validate(FABRIC, state, [keel.batch(frames[:3], 5.0), keel.batch(frames[3:], 5.0)], objective)
        graph = keel.batch(known, 5.0)
        error = (state.network(graph).energy - graph.labels.energy).abs() / 8
        assert row["validation_energy_mae"] == pytest.approx(float(error.mean()), rel=1e-4)
        none = validate(FABRIC, state, [keel.batch([f.replace(energy=None) for f in bare], 5.0)], objective)
        assert math.isnan(none["validation_energy_mae"])
        assert none["validation_force_mae"] > 0

    def test_ranks_share_the_frames(self):
        frames = [f.replace(energy=float(k)) for k, f in enumerate(argon(5))]
        shares = [validation_batches(frames, 5.0, rank, 4, most_atoms=16) for rank in range(4)]
        energies = [[graph.labels.energy.tolist() for graph in share] for share in shares]
        assert energies == [[[0, 1]], [[2, 3]], [[4]], []]

    def test_frames_that_cannot_choose_are_refused(self):
        bare = [f.replace(energy=None, forces=None, stress=None) for f in argon(2)]
        with pytest.raises(DataError, match="none of the 2 validation frames has energy or forces or stress"):
            train(network(), argon(3), validation=bare, settings=SHORT)

    def test_a_score_that_is_no_number_is_not_the_best(self):
        state = TrainingState(network(), MovingAverage(network(), 0.9))
        for score in (math.nan, 2.0, math.nan, 3.0):
            keep_best(state, score)
        assert state.best_score == 2.0


class TestDelta:
    """A network on top of a base potential."""

    def test_base_and_remainder_are_the_labels(self):
        frames, base = argon(3), keel.LennardJones(epsilon=0.02, cutoff=6.0)
        for frame, rest in zip(frames, remainder(frames, base), strict=True):
            found = base.double()(keel.batch(frame, 6.0, dtype=torch.float64))
            assert rest.energy + float(found.energy) == pytest.approx(frame.energy, abs=1e-12)
            np.testing.assert_allclose(rest.forces + found.forces.numpy(), frame.forces, atol=1e-12)
            np.testing.assert_allclose(rest.stress + found.stress[0].numpy(), frame.stress, atol=1e-14)
        assert remainder([frames[0].unlabelled()], base)[0].energy is None

    def test_network_on_a_nuclear_core(self, tmp_path):
        result = keel.train(network(), argon(4), strategy="zbl-delta", settings=SHORT)
        result.potential.save(str(tmp_path / "sum.safetensors"))
        for potential in (result.potential, keel.load(tmp_path / "sum.safetensors")):
            assert dimer_curve(potential, 18, 18, [0.2, 0.3, 8.0]).energy[1] > 100
        alone = keel.train(network(), argon(4), settings=SHORT).potential
        frame = argon(1, seed=7)[0]  # far outside the core, where both were trained alike
        for a, b in zip(*(p(keel.batch(frame, 6.0)).forces for p in (alone, result.potential)), strict=True):
            assert torch.allclose(a, b, atol=1e-6)

    def test_network_that_corrects_a_perfect_teacher_has_nothing_to_add(self):
        frames = argon(4)
        result = keel.train(network(), frames, strategy="eam-delta", teacher=ARGON, settings=SHORT)
        found = result.potential(keel.batch(frames[0], 6.0))
        # What is left of the labels is zero; so far from it is a network that has just begun.
        alone = float((network()(keel.batch(frames[0], 6.0)).forces).abs().max())
        assert float((found.forces.numpy() - frames[0].forces).__abs__().max()) <= alone

    def test_pretraining_on_what_the_core_leaves(self):
        strategy = Strategy(base="zbl", pretrain_share=0.5)
        result = keel.train(network(), argon(3), strategy=strategy, teacher=ARGON, settings=SHORT)
        assert (result.pretrain_steps, result.train_steps) == (6, 6)
        assert isinstance(result.potential, SumPotential)

    def test_the_walls_are_those_of_the_teacher(self):
        core = keel.ZBL(outer=0.6, elements=["Ar"])
        push = keel.ContactRepulsion({"Ar-Ar": {"contact": 3.0, "push": 2.0}})
        teacher = SumPotential([ARGON, push, core])
        strategy = Strategy(base="walls", pretrain_share=0.5)
        result = keel.train(network(), argon(3), strategy=strategy, teacher=teacher, settings=SHORT)
        assert [m.config() for m in result.potential.members[1:]] == [push.config(), core.config()]
        # Of a teacher without any it is the nuclear repulsion.
        result = keel.train(network(), argon(3), strategy=strategy, teacher=ARGON, settings=SHORT)
        assert result.potential.members[1].config() == keel.ZBL(elements=["Ar"]).config()

    def test_walls_are_found_in_sums_of_sums_but_not_with_weights(self):
        walls = [keel.ContactRepulsion({"Ar-Ar": {"contact": 3.0, "push": 2.0}}), keel.ZBL(elements=["Ar"])]
        nested = SumPotential([SumPotential([ARGON, walls[0]]), walls[1]])
        assert [type(m) for m in members_of(walls_of(nested))] == [keel.ContactRepulsion, keel.ZBL]
        shifted = SumPotential([ARGON, walls[0]])
        shifted.set_offsets({18: -1.0})
        for hidden in (SumPotential([shifted, walls[1]]), SumPotential([ARGON, *walls], [1.0, 1.0, 0.5])):
            with pytest.raises(ConfigError, match="the walls of this teacher are in a sum with weights"):
                walls_of(hidden)

    def test_what_teaches_is_the_teacher_without_the_walls_under_the_network(self):
        core, other = keel.ZBL(outer=0.6, elements=["Ar"]), keel.ZBL(outer=0.7, elements=["Ar"])
        push = keel.ContactRepulsion({"Ar-Ar": {"contact": 3.9, "push": 2.0}})
        teacher = SumPotential([ARGON, push, core])
        teacher.set_offsets({18: -7.0})
        graph = keel.batch(argon(1)[0], 9.0, dtype=torch.float64)
        for base in (walls_of(teacher), core, other, keel.SumPotential([push, other]), ARGON):
            rest = taught_remainder(teacher, base)
            for name in ("energy", "forces", "stress"):
                both = getattr(rest.double()(graph), name) + getattr(base.double()(graph), name)
                torch.testing.assert_close(both, getattr(teacher.double()(graph), name))
        assert isinstance(taught_remainder(teacher, walls_of(teacher)), keel.LennardJones)
        assert taught_remainder(None, core) is None

    def test_what_a_training_returns_can_be_trained_on(self, tmp_path):
        """With its base, whatever the strategy; offsets of the sum itself are those of the network then."""
        first = keel.train(network(), argon(4), strategy="zbl-delta", settings=SHORT).potential
        frame = keel.batch(argon(1, seed=3)[0], 6.0)
        first.energy_offsets[18] += 0.5
        before = first(frame)
        apart, base = taken_apart(copy.deepcopy(first))
        assert torch.allclose(on_top_of(base, apart)(frame).energy, before.energy)
        again = keel.train(first, argon(4), strategy="vanilla", settings=SHORT).potential
        assert isinstance(again, keel.SumPotential)
        assert [type(m).__name__ for m in again.members] == ["CGCNN", "ZBL"]
        assert not torch.equal(again(frame).forces, before.forces)

    def test_repair_puts_a_core_under_a_network_that_had_none(self):
        trained = keel.train(network(), argon(4), settings=SHORT).potential
        teacher = keel.SumPotential([ARGON, keel.ZBL(outer=0.6, elements=["Ar"])])
        strategy = strategy_of("repair").model_copy(update={"base": "walls"})
        result = keel.train(trained, argon(4), strategy=strategy, teacher=teacher, settings=SHORT)
        assert result.potential.members[1].outer == 0.6

    def test_mistakes(self):
        with pytest.raises(ConfigError, match="needs a teacher"):
            keel.train(network(), argon(3), strategy="eam-delta", settings=SHORT)
        with pytest.raises(ValueError, match="nothing to learn from it"):
            Strategy(base="teacher", pretrain_share=0.1)
        with pytest.raises(ValueError, match="has learnt what the teacher under it would give"):
            Strategy(base="teacher", after="vanilla")
        with pytest.raises(ConfigError, match="a ZBL cannot be trained; start from a network"):
            keel.train(keel.ZBL(), argon(3), settings=SHORT)
        twice = keel.SumPotential([network(), network()])
        with pytest.raises(ConfigError, match="a SumPotential cannot be trained"):
            keel.train(twice, argon(3), settings=SHORT)
