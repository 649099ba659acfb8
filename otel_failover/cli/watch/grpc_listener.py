"""Listens for OTLP over gRPC, on loopback only, where `grpcio` is there: it is what Python's SDK sends by default."""

from __future__ import annotations

from concurrent import futures
from typing import TYPE_CHECKING, Any, Final

from otel_failover.cli.watch.listener import HOST
from otel_failover.cli.watch.payload import MOST, from_message

if TYPE_CHECKING:
    from otel_failover.cli.watch.listener import Receiver

_WORKERS: Final = 4
_SIGNALS: Final = ("trace", "metrics", "logs")


class GrpcListener:
    """A server for OTLP over gRPC; metrics and logs are accepted and ignored.

    Args:
        receiver: Whom to hand on to.
        port: Where; 0 takes a free one.

    Raises:
        ImportError: `grpcio` is not there.
        OSError: Somebody else listens there.
    """

    def __init__(self, receiver: Receiver, port: int = 0) -> None:
        import grpc  # type: ignore[import-untyped]
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages

        def export(request: Any, context: Any) -> Any:  # noqa: ARG001 - grpc's signature
            receiver.took(list(from_message(request)))
            return messages.ExportTraceServiceResponse()

        def ignore(request: bytes, context: Any) -> bytes:  # noqa: ARG001 - grpc's signature
            return b""

        options = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MOST))
        self._server = grpc.server(futures.ThreadPoolExecutor(_WORKERS, "otel-failover-grpc"), options=options)
        handlers = {"trace": grpc.unary_unary_rpc_method_handler(
            export, messages.ExportTraceServiceRequest.FromString, messages.ExportTraceServiceResponse.SerializeToString
        )}  # fmt: skip
        for signal in _SIGNALS:
            handler = handlers.get(signal) or grpc.unary_unary_rpc_method_handler(ignore)
            service = f"opentelemetry.proto.collector.{signal}.v1.{signal.capitalize()}Service"
            self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Export": handler})])
        try:
            self.port: int = self._server.add_insecure_port(f"{HOST}:{port}")
        except RuntimeError as problem:  # what newer releases raise
            raise OSError(str(problem)) from None
        if not self.port:
            raise OSError(f"port {port} is in use")
        self._server.start()

    def close(self) -> None:
        """Listen no more."""
        self._server.stop(grace=0.5).wait(1)
