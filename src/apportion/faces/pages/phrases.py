"""The words on a document, in the language that its reader wants; English where nobody says, or it is not known."""

from __future__ import annotations

from apportion.model.statement import CreditNote, Document, Item, Received, Remittance, Seal, Section, Statement, TaxSum
from apportion.stages.statement import grouped
from apportion.stages.statement.figures import local_day, span

_ENGLISH = {
    "preview": "Preview", "statement": "Statement", "credit": "Credit note", "advice": "Remittance advice",
    "page": "Page", "of": "of", "for_": "For", "to": "To", "account": "Account", "issued": "Issued",
    "what": "What", "quantity": "Quantity", "price": "Price", "net": "Net", "tax": "Tax", "total": "Total",
    "brought": "Brought forward", "balance": "Balance", "this": "This statement", "given_back": "This credit note",
    "opening": "Opening value", "bucket": "From a bucket", "topup": "Value added",
    "collected": "Paid to your provider", "refund": "Paid back to the card", "chargeback": "Charged back by the bank",
    "ask": "Please pay", "by": "by", "covered": "Nothing is to be paid",
    "covered_more": "The balance covers this statement.", "back": "Given back to you",
    "back_more": "It is on your account already.", "of_statement": "It corrects statement",
    "preview_ask": "So far", "preview_more": "A preview: nothing is asked for yet.",
    "beside": "One of several statements of this period:", "session": "Session",
    "local": "Period in local time,", "where": "Where the money goes", "use": "use", "uses": "uses", "free": "free",
    "late": "used earlier",
    "used_by": "Used by", "all_shared": "all shared with others; you bear your part",
    "shared": "{} of {} shared with others; you bear your part", "more": "and {} more",
    "on": "on", "payable": "Payable", "delivered": "Delivered", "times": "Times", "credited": "Credited",
    "deliveries": "Deliveries", "exact": "exact", "example": "An example with invented parts (*).",
    "words": "You pay {total} {currency} for this{tax}.", "words_tax": ", of which {} is tax",
    "words_free": "This cost you nothing.", "words_back": "You get {total} {currency} back for this.",
    "books": "The books count finer than cents: {} {} was charged, {} carried in from earlier rounding and {} is "
    "carried on, together {}. Lines and taxes add up to the total exactly.",
    "rounding": "Credited {} {}, {} carried in from earlier rounding and {} carried on: payable {}. What rounding "
    "keeps of the exact dues ({}) is paid out when periods are closed.",
    "settled": "It goes with settlement {}.", "paid_out": "Paid out since the advice before: {} {}.",
    "sealed": "Seal: {} rows of the books stand under the head {}",
    "signed": ", signed {}Z by the key that begins with {}",
    "kept": "This document is {}; its digest stands in the books.",
    "months": "January February March April May June July August September October November December",
    "dates": "{} {} {}", "commas": "",
}  # fmt: skip
_GERMAN = _ENGLISH | {
    "preview": "Vorschau", "statement": "Abrechnung", "credit": "Gutschrift", "advice": "Zahlungsavis",
    "page": "Seite", "of": "von", "for_": "Für", "to": "An", "account": "Konto", "issued": "Ausgestellt",
    "what": "Leistung", "quantity": "Menge", "price": "Preis", "net": "Netto", "tax": "Steuer", "total": "Gesamt",
    "brought": "Übertrag", "balance": "Saldo", "this": "Diese Abrechnung", "given_back": "Diese Gutschrift",
    "opening": "Anfangsguthaben", "bucket": "Aus einem Kontingent", "topup": "Guthaben eingezahlt",
    "collected": "An Ihren Anbieter gezahlt", "refund": "Auf die Karte zurückgezahlt",
    "chargeback": "Von der Bank zurückgeholt",
    "ask": "Bitte zahlen Sie", "by": "bis", "covered": "Es ist nichts zu zahlen",
    "covered_more": "Das Guthaben deckt diese Abrechnung.", "back": "Ihnen gutgeschrieben",
    "back_more": "Der Betrag ist schon auf Ihrem Konto.", "of_statement": "Sie berichtigt die Abrechnung",
    "preview_ask": "Bisher", "preview_more": "Eine Vorschau: noch wird nichts verlangt.",
    "beside": "Eine von mehreren Abrechnungen dieses Zeitraums:", "session": "Sitzung",
    "local": "Zeitraum in Ortszeit,", "where": "Wohin das Geld geht", "use": "Nutzung", "uses": "Nutzungen",
    "free": "kostenlos", "late": "früher genutzt", "used_by": "Genutzt von",
    "all_shared": "alles mit anderen geteilt; Sie tragen Ihren Anteil",
    "shared": "{} von {} mit anderen geteilt; Sie tragen Ihren Anteil", "more": "und {} weitere",
    "on": "auf", "payable": "Zahlbar", "delivered": "Geliefert", "times": "Mal", "credited": "Gutgeschrieben",
    "deliveries": "Lieferungen", "exact": "genau", "example": "Ein Beispiel mit erfundenen Teilen (*).",
    "words": "Sie zahlen dafür {total} {currency}{tax}.", "words_tax": ", davon {} Steuer",
    "words_free": "Das hat Sie nichts gekostet.", "words_back": "Sie erhalten dafür {total} {currency} zurück.",
    "books": "Die Bücher rechnen genauer als in Cent: {} {} wurden berechnet, {} kamen aus früherer Rundung hinzu und "
    "{} gehen weiter, zusammen {}. Zeilen und Steuern ergeben genau die Summe.",
    "rounding": "Gutgeschrieben {} {}, aus früherer Rundung {}, weitergetragen {}: zahlbar {}. Was die Rundung von den "
    "genauen Ansprüchen ({}) behält, wird beim Abschluss ausgezahlt.",
    "settled": "Es gehört zur Verrechnung {}.", "paid_out": "Seit dem Avis davor ausgezahlt: {} {}.",
    "sealed": "Siegel: {} Zeilen der Bücher stehen unter dem Kopf {}",
    "signed": ", unterschrieben {}Z mit dem Schlüssel, der mit {} beginnt",
    "kept": "Dieses Dokument ist {}; sein Abdruck steht in den Büchern.",
    "months": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "dates": "{}. {} {}", "commas": "yes",
}  # fmt: skip
_COMMAS = str.maketrans(",.", ".,")
LANGUAGES = {"en": _ENGLISH, "de": _GERMAN}


class Phrases:
    """What a document says in one language; a word is an attribute, what needs a record is a method."""

    def __init__(self, words: dict[str, str], language: str) -> None:
        self._words, self.language = words, language

    def __getattr__(self, name: str) -> str:
        try:
            return self._words[name]
        except KeyError:
            raise AttributeError(name) from None

    def figures(self, text: str) -> str:
        """Figures as they are written in this language."""
        return text.translate(_COMMAS) if self._words["commas"] else text

    def money(self, text: str) -> str:
        """An amount with its thousands apart."""
        return self.figures(grouped(text))

    def title(self, d: Statement) -> str:
        """Statement or credit note."""
        return self.credit if isinstance(d, CreditNote) else self.statement

    def day(self, instant: str, zone: str) -> str:
        """A date in words."""
        return self._date(*local_day(instant, zone))

    def _date(self, year: int, month: int, number: int) -> str:
        return self._words["dates"].format(number, self._words["months"].split()[month - 1], year)

    def span(self, d: Document) -> str:
        """The period in words."""
        if self.language == "en":
            return span(d.start, d.end, d.zone)
        first, last = self.day(d.start, d.zone), self._date(*local_day(d.end, d.zone, before=d.end > d.start))
        return first if first == last else f"{first} – {last}"

    def asks(self, d: Statement) -> tuple[str, str, str]:
        """What is asked for, what is to be known about it, and the amount."""
        beside = f"{self.beside} {', '.join(d.beside)}." if len(d.beside) > 1 else ""
        if d.preview:
            return self.preview_ask, self.preview_more, d.total
        if isinstance(d, CreditNote):
            return self.back, f"{self.of_statement} {d.corrects}. {self.back_more}", d.total.removeprefix("-")
        if not d.due.strip("0."):
            return self.covered, beside or self.covered_more, d.total
        return self.ask + (f" {self.by} {d.pay_by[:10]}" if d.pay_by else ""), beside, d.due

    def about(self, d: Statement) -> str:
        """What a statement is of: a session, or a period in local time."""
        return f"{self.session} {d.session}" if d.session else self.local_time(d.zone)

    def local_time(self, zone: str) -> str:
        """In which zone the period is."""
        return f"{self.local} {zone}"

    def received(self, r: Received, zone: str) -> str:
        """What came in, and when."""
        return f"{self._words.get(r.kind, self.topup)}, {self.day(r.at, zone)}"

    def this_one(self, d: Statement) -> str:
        """The row of the document itself."""
        return self.given_back if isinstance(d, CreditNote) else self.this

    def uses_of(self, s: Section) -> str:
        """How often, how often for nothing, and how often before the period."""
        if not s.uses:
            return ""
        told = [f"{s.uses:,} {self.use if s.uses == 1 else self.uses}"]
        told += [f"{count:,} {word}" for count, word in ((s.free, self.free), (s.late, self.late)) if count]
        return ", ".join(told)

    def in_words(self, s: Section, d: Statement) -> str:
        """What a service cost, as a sentence."""
        tax = sum(int(item.tax.replace(".", "")) for item in s.items)
        if not s.total.strip("-0."):
            return self.words_free if s.uses else ""
        if s.total.startswith("-"):
            return self.words_back.format(total=self.money(s.total[1:]), currency=d.currency)
        places = len(s.total.partition(".")[2])
        text = f"{tax:0{places + 1}}"
        shown = f"{text[:-places]}.{text[-places:]}" if places else text
        return self.words.format(
            total=self.money(s.total),
            currency=d.currency,
            tax=self.words_tax.format(self.money(shown)) if tax > 0 else "",
        )

    def shared_of(self, item: Item) -> str:
        """That others bear a part too."""
        if not item.shared:
            return ""
        return self.all_shared if item.shared == item.uses else self.shared.format(f"{item.shared:,}", f"{item.uses:,}")

    def taxed(self, tax: TaxSum) -> str:
        """A tax and what it is of."""
        return f"{tax.name.upper()} {tax.rate} % {self.on} {self.money(tax.base)}"

    def whose(self, payer: str) -> str:
        """Whose use a section is."""
        return f"{self.used_by} {payer}"

    def and_more(self, count: int) -> str:
        """That there are more than are named."""
        return self.more.format(f"{count:,}")

    def books_of(self, d: Statement) -> str:
        """How the total comes of what the books say."""
        return self.books.format(
            self.money(d.charges), d.currency, self.money(d.residue_in), self.money(d.residue_out), self.money(d.total)
        )

    def rounding_of(self, d: Remittance, exact: str) -> str:
        """How what is payable comes of what was credited."""
        texts = [self.money(text) for text in (d.credited, d.residue_in, d.residue_out, d.total)]
        said = [self.rounding.format(texts[0], d.currency, *texts[1:], exact)]
        if d.settlement:
            said.append(self.settled.format(d.period))
        if d.paid:
            said.append(self.paid_out.format(self.money(d.paid), d.currency))
        return " ".join(said)

    def seal(self, seal: Seal) -> str:
        """What vouches for the books."""
        signed = self.signed.format(seal.at[:19], seal.key[:16]) if seal.signature else ""
        return self.sealed.format(f"{seal.n:,}", seal.head) + signed + "."


def phrases_of(document: Document) -> Phrases:
    """The words for a document, in the language that its payer wants as far as it is known."""
    wanted = document.language.partition("-")[0] if isinstance(document, Statement) else ""
    language = wanted if wanted in LANGUAGES else "en"
    return Phrases(LANGUAGES[language], language)


__all__ = ["LANGUAGES", "Phrases", "phrases_of"]
