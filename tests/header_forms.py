"""Made-up lines in the usual forms: what stands before the message, and the message."""

import random
import re
from typing import Final

MESSAGES: Final = [
    "session opened for user root by (uid=0)",
    "connection from 10.0.0.7 port 4711",
    "Server environment:java.vendor=Oracle - ok",
    "cache hit ratio is 0.93",
    "retrying in 5 seconds",
    "error: could not open /var/run/x.pid",
    "Shutting down",
    "[pool 3] worker idle",
    "42 jobs are waiting",
]
# {clock} a time of day, {9999} a number below it, {a|b} one of these words.
FORMS: Final = {
    "syslog": "Jun  {9} {clock} combo {sshd(pam_unix)[12]:|su[7]:|kernel:} ",
    "log4j": "2015-07-29 {clock},{999} - {INFO|WARN}  [{main|Worker[id=1]|a b}:Foo@{99}] - ",
    "compact": "081109 {hhmmss} {9999} {INFO|WARN} dfs.Data$Node: ",
    "apache": "[Sun Dec 04 {clock} 2005] [{notice|error}] ",
    "epoch first": "{-|ALERT7} 11178{10000} 2005.06.03 R02-M{9} 2005-06-03-{hh.mm.ss}.67 RAS {INFO|FATAL} ",
    "pipes": "20171223-{24}:{60}:9:606|Step_{A|B}|30002312|",
    "padded": "2016-09-28 {clock}, Info                  {CBS|CSI}    ",
    "phone": "03-17 {clock}.811  1702  {9999} {D|I|W|E} {ActivityManager|audio_hw}: ",
    "program": "[10.30 {clock}] {chrome.exe|chrome.exe *64|Dropbox.exe} - ",
    "klog": "{I|W|E}0102 {clock}.000123   {9999} server.go:{99}] ",
    "spring": "2021-01-01 {clock}.123  {INFO|WARN} 123 --- [{main|  exec-1}] {o.s.App|c.e.Foo}    : ",
    "python": "2021-01-01 {clock},123 - {a.b|c.d} - {INFO|WARN} - ",
    "java.util.logging": "Jan 0{9}, 2026 {12}:{minutes} {AM|PM} ",
    "logfmt": "time=2026-01-0{9}T{clock}Z caller={a|b|c}.go:{99} level={info|warn|error} ",
    "quoted logfmt": 'ts="2026-01-0{9}T{clock}.123Z" level="{info|warn|error}" ',
    "side by side": "[2026-01-0{9}T{clock},{999}][{INFO |WARN |ERROR}][o.e.{Node|Main}      ] [node-1] ",
    "padded hour": "2026-01-0{9}  {9}:{minutes} {9999} [{Note|Warning}] ",
    "short numbers": "{12}/{29}/2026 {12}:{minutes} {AM|PM} {INFO|WARN} ",
    "day first": "{31}/{12}/2026 {clock} {INFO|WARN} ",
    "glog": "{I|W|E}202601{10|11} {clock}.000123   {9999} server.cc:{99}] ",
    "level only": "[{INFO|WARN}] ",
    "nothing": "",
}
_FIELD = re.compile(r"{([^{}]*)}")


def sample(form: str, count: int = 300) -> list[tuple[bytes, bytes]]:
    """Lines of a form with their messages; the same ones every time."""
    pick = random.Random(form)
    pairs = [(_fill(FORMS[form], pick), pick.choice(MESSAGES)) for _ in range(count)]
    return [((before + message).encode(), message.encode()) for before, message in pairs]


def _fill(form: str, pick: random.Random) -> str:
    def value(field: re.Match[str]) -> str:
        name = field[1]
        if name in {"clock", "minutes", "hhmmss", "hh.mm.ss"}:
            mark = {"hhmmss": "", "hh.mm.ss": "."}.get(name, ":")
            below = (60, 60) if name == "minutes" else (24, 60, 60)
            return mark.join(f"{pick.randrange(most):02}" for most in below)
        if name == "10000":
            return f"{pick.randrange(10_000, 100_000)}"
        return str(pick.randrange(1, int(name))) if name.isdigit() else pick.choice(name.split("|"))

    return _FIELD.sub(value, form)
