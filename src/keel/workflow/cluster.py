"""Tasks side by side: in this process, in others of this machine, or on the workers of a Dask scheduler."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from types import MethodType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from keel.errors import KeelError
from keel.ranges import Processes, checked
from keel.workflow.cache import TakenError, done

if TYPE_CHECKING:
    from distributed import Client, Future

Item = TypeVar("Item")
Result = TypeVar("Result")

AGAIN = "finished work is kept when the same command is run again"


class Cluster:
    """Workers that do tasks side by side, each on one thread; they start with the first task and end with the block.

    Dask distributes the tasks. A worker that dies is restarted and its task repeated; other tasks and finished ones are
    not affected. All fill the same folders of tasks as a single process would.

    Parameters
    ----------
    workers
        Processes of this machine, each of which sees one of its GPUs, in turn; 1: this process, on its threads.
    scheduler
        Address of a running scheduler of Dask (``"tcp://node1:8786"``), or the file that it has written
        (``--scheduler-file``): its workers do the tasks instead. They must see the folders of the run under the same
        paths. A task takes one GPU where workers were started with ``--resources "GPU=1"``.
    device
        Where the tasks compute; ``"cuda:1"``: all on that one GPU. None: chosen for each task.
    modules
        Large modules that the tasks need, which are imported once for all processes of this machine.

    Raises
    ------
    ConfigError
        If the scheduler does not answer, or has workers that take several tasks at a time.
    """

    def __init__(
        self,
        workers: int = 1,
        *,
        scheduler: str | None = None,
        device: str | None = None,
        modules: Sequence[str] = (),
    ) -> None:
        self.workers = checked(Processes, workers, "workers")
        self.scheduler, self.device, self.modules = scheduler, device, tuple(modules)
        self._client: Client | None = None
        self._open = ExitStack()
        self._owners: dict[int, tuple[Any, str]] = {}
        self._endings: list[int] = []

    def __enter__(self) -> Self:
        if self.scheduler is not None:
            self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def each(self, task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield ``task(item)`` of each item, in order. The task is a method; each worker has a copy of its object.

        Tasks that another process is doing in the same folder come last, so that two share the work.
        """
        results: dict[int, Any] = {}
        taken: list[int] = []
        next_place = 0
        for wait in (False, True):
            left = {place: items[place] for place in (taken if wait else range(len(items)))}
            for place, result in self._done(task, left, wait):
                if isinstance(result, TakenError):
                    taken.append(place)
                    continue
                results[place] = result
                while next_place in results:
                    yield results.pop(next_place)
                    next_place += 1

    def _done(self, task: Callable[[Item], Result], left: dict[int, Item], wait: bool) -> Iterator[tuple[int, Any]]:
        """Yield place and result of each item as it is done, and take it from what is left."""
        if self.workers == 1 and self.scheduler is None:
            yield from ((place, done(task, item, wait)) for place, item in left.items())
            return
        from distributed import KilledWorker, as_completed

        from keel.workflow.scheduling import LOST, why_ended

        while left:
            try:
                client = self._client or self._start()
                places = self._submit(client, cast(MethodType, task), left, wait)
                for future in as_completed(places, loop=client.loop):
                    result = future.result()
                    del left[places[future]]
                    yield places[future], result
            except KilledWorker:
                raise KeelError(f"{why_ended(self._endings)} in task {task.__name__}; {AGAIN}") from None
            except LOST:
                if self.scheduler is None:
                    raise
                self._end()

    def _submit(self, client: Client, task: MethodType, items: dict[int, Any], wait: bool) -> dict[Future, int]:
        from keel.workflow.scheduling import resources_of
        from keel.workflow.worker import do

        owner, resources = self._known(client, task.__self__), resources_of(client)
        return {
            client.submit(do, owner, task.__name__, item, wait, resources=resources, pure=False): place
            for place, item in items.items()
        }

    def _known(self, client: Client, owner: object) -> str:
        """Return the name under which the workers know the owner of tasks, after making it known."""
        from keel.workflow.scheduling import forget, gpus_for
        from keel.workflow.worker import prepared

        if id(owner) not in self._owners:
            name, local = f"keel-{uuid.uuid4()}", self.scheduler is None
            client.register_plugin(prepared(name, owner, local, gpus_for(self.device) if local else ()))
            self._open.callback(forget, client, name)
            self._owners[id(owner)] = owner, name  # kept, so that no other object gets its id
        return self._owners[id(owner)][1]

    def _start(self) -> Client:
        from keel.workflow.scheduling import connected, of_this_machine

        if self.scheduler is None:
            client = self._open.enter_context(of_this_machine(self.workers, self.modules, self._endings))
        else:
            client = self._open.enter_context(connected(self.scheduler))
            self.workers = len(client.ncores())
        self._client = client
        return client

    def _end(self) -> None:
        self._open.close()
        self._client = None
        self._owners.clear()
