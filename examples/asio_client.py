"""Drives examples/asio_server.cc over loopback and checks every answer.

    asio_client.py PATH_OF_ASIO_SERVER

Starts the server several times: many connections at a time, requests in pieces and in bulk, lines
that are too long, and each way to stop it.
"""

import asyncio
import random
import signal
import sys

CONNECTIONS = 20
REQUESTS = 250  # of each connection, twice
LONGEST_LINE = 4096


class Server:
    def __init__(self, path):
        self._path = path

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            self._path, stdout=asyncio.subprocess.PIPE
        )
        line = (await self.process.stdout.readline()).decode()
        assert line.startswith("listening on 127.0.0.1:"), line
        self.port = int(line.rsplit(":", 1)[1])
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def expect_clean_stop(self):
        output = await asyncio.wait_for(self.process.stdout.read(), 60)
        code = await asyncio.wait_for(self.process.wait(), 60)
        assert output == b"stopped\n", output
        assert code == 0, code


async def ask(connection, request):
    reader, writer = connection
    writer.write(request + b"\n")
    answer = await reader.readline()
    assert answer.endswith(b"\n"), (request, answer)
    return answer[:-1]


async def close(connection):
    connection[1].close()
    try:
        await connection[1].wait_closed()
    except ConnectionError:
        pass


async def one_by_one(server, number):
    """Each request waits for the answer to the one before it."""
    connection = await server.connect()
    model = {}
    rng = random.Random(number)
    for i in range(REQUESTS):
        key = b"%d/%d" % (number, rng.randrange(20))
        verb = rng.choice([b"set", b"get", b"consume"])
        if verb == b"set":
            model[key] = b"value %d with spaces" % i
            assert await ask(connection, b"set %s %s" % (key, model[key])) == b"stored"
        else:
            value = model.pop(key, None) if verb == b"consume" else model.get(key)
            expected = b"none" if value is None else b"value " + value
            assert await ask(connection, verb + b" " + key) == expected
    assert await ask(connection, b"quit") == b"bye"
    assert await connection[0].read() == b"", "the server ends the connection"
    await close(connection)
    return len(model)


async def all_at_once(server, number):
    """Requests are sent without waiting, and cut up anywhere."""
    connection = await server.connect()
    reader, writer = connection
    rng = random.Random(number)
    requests = bytearray()
    expected = bytearray()
    for i in range(0, REQUESTS, 2):
        requests += b"set p%d %d\r\nconsume p%d\n" % (number, i, number)
        expected += b"stored\nvalue %d\n" % i

    async def send():
        begin = 0
        while begin < len(requests):
            end = begin + rng.randrange(1, 400)
            writer.write(requests[begin:end])
            await writer.drain()
            if rng.random() < 0.2:
                await asyncio.sleep(0.001)
            begin = end

    _, answers = await asyncio.gather(send(), reader.readexactly(len(expected)))
    assert answers == expected
    await close(connection)


async def check_requests(server):
    kept = await asyncio.gather(
        *(one_by_one(server, i) for i in range(CONNECTIONS)),
        *(all_at_once(server, i) for i in range(CONNECTIONS)),
    )
    connection = await server.connect()
    left = sum(number for number in kept if number is not None)
    assert await ask(connection, b"count") == b"count %d" % left
    assert await ask(connection, b"get") == b"none"
    assert await ask(connection, b"set empty") == b"stored"
    assert await ask(connection, b"get empty") == b"value "
    assert await ask(connection, b"set bytes \x00\xff \x01") == b"stored"
    assert await ask(connection, b"get bytes") == b"value \x00\xff \x01"
    assert (await ask(connection, b"GET empty")).startswith(b"error ")
    assert (await ask(connection, b"")).startswith(b"error ")
    await close(connection)


async def check_long_lines(server):
    connection = await server.connect()
    longest = b"set long " + b"x" * (LONGEST_LINE - len(b"set long "))
    assert await ask(connection, longest) == b"stored"
    assert await ask(connection, b"get long") == b"value " + longest[len(b"set long ") :]
    # With and without an end in sight; what came before it is answered still.
    for tail in (b"y\n", b"y" * 100000):
        reader, writer = await server.connect()
        writer.write(b"get absent\n" + longest + tail)
        assert await reader.readline() == b"none\n"
        assert (await reader.readline()).startswith(b"error ")
        assert await reader.read() == b"", "the server ends the connection"
        await close((reader, writer))
    # One that goes away in the middle of a line, and the service goes on.
    away = await server.connect()
    away[1].write(b"set half")
    await close(away)
    assert await ask(connection, b"get half") == b"none"
    await close(connection)


async def main(path):
    async with Server(path) as server:
        await check_requests(server)
        await check_long_lines(server)
        idle = await server.connect()  # is told that it is over
        connection = await server.connect()
        assert await ask(connection, b"shutdown") == b"bye"
        assert await idle[0].read() == b""
        await server.expect_clean_stop()
        await close(idle)
        await close(connection)
    for number in (signal.SIGINT, signal.SIGTERM):
        async with Server(path) as server:
            busy = [await server.connect() for _ in range(5)]
            for connection in busy:
                assert await ask(connection, b"set key value") == b"stored"
            server.process.send_signal(number)
            await server.expect_clean_stop()
            for connection in busy:
                await close(connection)
    print(f"{2 * CONNECTIONS} connections, {2 * CONNECTIONS * REQUESTS} requests, 3 clean stops")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
