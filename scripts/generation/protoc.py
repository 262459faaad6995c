"""Runs protoc, with the third-party protos taken from installed packages."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from google.protobuf import descriptor_pb2
from protovalidate._gen.buf.validate import validate_pb

PROTOS = Path("protos")
_VALIDATE = "buf/validate/validate.proto"
# Types of error details: the transcoder at the edge drops an error whose detail it cannot resolve.
_ERROR_DETAILS = "google/rpc/error_details.proto"


class ProtocError(Exception):
    """Protoc refused the protos; its own words are the message."""


def sources() -> list[str]:
    """Lists our proto files, as protoc names them."""
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))


@contextmanager
def _third_party() -> Iterator[list[str]]:
    """Yields the arguments by which protoc finds protos that are not ours.

    protovalidate carries its rules as a descriptor and not as a `.proto`, so that one goes in as a
    descriptor set; `google/api` lies as source in googleapis-common-protos.
    """
    validate = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    bundle = descriptor_pb2.FileDescriptorSet()
    for dependency in validate.dependency:
        well_known = _well_known(dependency)
        bundle.file.append(well_known)
    bundle.file.append(validate)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "validate.binpb"
        path.write_bytes(bundle.SerializeToString())
        yield [
            f"--descriptor_set_in={path}",
            f"--proto_path={PROTOS}",
            f"--proto_path={_package_root('google/api', 'annotations.proto')}",
            f"--proto_path={files('grpc_tools').joinpath('_proto')}",
        ]


def _package_root(package: str, resource: str) -> Path:
    found = files(package.replace("/", ".")).joinpath(resource)
    return Path(str(found)).parents[package.count("/") + 1]


def _well_known(name: str) -> descriptor_pb2.FileDescriptorProto:
    from google.protobuf import descriptor_pool  # noqa: PLC0415 (the pool fills as modules load)

    module = name.removesuffix(".proto").replace("/", ".") + "_pb2"
    __import__(module)
    found = descriptor_pb2.FileDescriptorProto()
    descriptor_pool.Default().FindFileByName(name).CopyToProto(found)
    return found


def run(outputs: Sequence[str], names: Sequence[str]) -> None:
    """Runs protoc over the named files.

    Raises:
        ProtocError: A file does not compile.
    """
    with _third_party() as paths:
        done = subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", *paths, *outputs, *names],
            check=False,
            capture_output=True,
            text=True,
        )
    if done.returncode != 0:
        raise ProtocError(done.stderr)


def write_stubs(target: Path) -> None:
    """Writes Python messages, their types, gRPC stubs and the stubs' types."""
    run(
        [
            f"--python_out={target}",
            f"--mypy_out={target}",
            f"--grpc_python_out={target}",
            f"--mypy_grpc_out={target}",
        ],
        sources(),
    )
    # Our stubs import these; protovalidate has them only for its own engine.
    run([f"--python_out={target}", f"--mypy_out={target}"], [_VALIDATE])
    for module in target.rglob("*_pb2_grpc.py*"):
        if _has_no_service(module, target):
            module.unlink()


def _has_no_service(module: Path, target: Path) -> bool:
    name = module.relative_to(target).as_posix().split("_pb2_grpc")[0]
    return "\nservice " not in (PROTOS / f"{name}.proto").read_text()


def write_descriptors(path: Path, *, source_info: bool = False) -> None:
    """Writes one descriptor set with all that our protos need.

    Args:
        path: Where to.
        source_info: With comments and positions: for linters and documents, not for Envoy.
    """
    flags = ["--include_imports", f"--descriptor_set_out={path}"]
    if source_info:
        flags.append("--include_source_info")
    run(flags, [*sources(), _ERROR_DETAILS])
