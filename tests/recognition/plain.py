"""Makes plain.json: lines with what PyPI whisper-normalizer makes of them, for the test in plain.rs.

    pip install whisper-normalizer==0.1.15 && python3 tests/recognition/plain.py > tests/recognition/plain.json

The lines: what is said in the fixture calls and the personal data set, sentences below for each rule, and seeded random runs of number words.
Lines in which the table of British spellings changes something are left out, as plain.rs has none.
"""
import json
import pathlib
import random
import re

from whisper_normalizer.english import EnglishTextNormalizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINES = """
It's $5. / five dollars / five dollars and seven cents / $2 and 7 cents / $0.50 today / twenty cents / It costs $1,250.75, please.
one / ones / the one I want / number 1 / 1st and 2nd / 1.5 percent / one point five / two and a half / two million and a half / I and a half
one oh one / double five, triple two / double trouble / oh no / zero / zero hundred / nineteen eighty four / twenty twenty seven / two thousand and five
one hundred and five / one hundred and Paul / three hundred thousand two hundred and one / minus five / minus the fee / plus 1 555 0100 / positive
ninety nine percent / 5 per cent / five per person / per / percent / the twenty third of March / 23rd / 23 rd street / the fifties / tens / hundreds of them
I've got it / he's been there / it's gone / they'd done it / won't / can't / let's go / y'all / I'ma go / gonna / ma'am / Mr. Smith / Dr. Who / St. Paul / 'cause
hmm, well / uh um mm / [noise] hello / <unk> yes / hello (again) there / () / "quoted, text" / semi-colon; dash - done / wait... what / end. / A.M. / 3.14 / v2 / 2v
4539-1488-0343-6467 / 4539 1488 / 1,000 / 1,2,3 / 10,000,000 / 555-867-5309 / a@example.com / 100% / % / $ / $x / 7:30 / 12/24 / #5 / AT&T / caf\u00e9 na\u00efve / \u00bfqu\u00e9?
point / point five / five point / 1.2 point 3 / 192.168.0.1 / one nine two point one six eight / twelve hundred / eleven twelve / twenty eleven / thirty thirty
sixes / sevens / twelfth / zeroth / eighth / ninths / twentieth / thousandth / two hundredths / second to none / a second / third, fourth, fifth
don't you / what's that / y'know / o'clock / it's five o'clock / rock 'n' roll / the rep said / gen / col / they've / I'm / we'll / she'd / it 's
"""
WORDS = """one two three four five six seven eight nine ten eleven twelve thirteen nineteen twenty thirty ninety hundred thousand million zero oh o
first second third fifth twentieth fives hundreds thousandth and double triple point dollars cents pounds percent per cent minus plus 5 12 2027 3.5 $7 the key""".split()


def lines():
    for line in (ROOT / "fixtures/pii/dev.jsonl").read_text().splitlines():
        yield from (segment["text"] for segment in json.loads(line)["segments"])
    for truth in sorted(ROOT.glob("fixtures/*/truth.json")):
        for track in json.loads(truth.read_text())["tracks"].values():
            said = [word["text"] for word in track["words"]]
            yield from (" ".join(said[at : at + 12]) for at in range(0, len(said), 12))
    yield from re.split(r" / |\n", LINES.strip())
    chance = random.Random(4)
    for _ in range(400):
        yield " ".join(chance.choices(WORDS, k=chance.randint(2, 7)))


def main():
    normal = EnglishTextNormalizer()
    spellings = normal.standardize_spellings
    vectors = []
    for line in dict.fromkeys(lines()):
        normal.standardize_spellings = spellings
        try:
            with_spellings = normal(line)
        except (AssertionError, TypeError):  # "twenty first hundred five" and the like, at which it stumbles
            continue
        normal.standardize_spellings = lambda text: text
        if with_spellings.split() == normal(line).split():
            vectors.append([line, " ".join(with_spellings.split())])
    print("[\n" + ",\n".join(json.dumps(vector) for vector in vectors) + "\n]")


main()
