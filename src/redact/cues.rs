//! Cue words: what the words around a number say about it.
//!
//! Promises: a cue is a phrase of the table below, and says something of numbers alone.

use std::sync::LazyLock;

use super::{
    phrases::{Phrases, Said},
    placeholder::Kind,
};

/// What a cue says of a number near it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hint {
    /// It is of this kind.
    Is(Kind),
    /// It may well be of this kind, if it has the right length.
    MayBe(Kind),
    /// It may be a price, as long as it is short and all there.
    Price,
    /// It is nobody's secret.
    Harmless,
    /// The same, as long as it is short: a room, a gate, an extension.
    Short,
}

/// A cue in a turn.
pub(super) type Cue = Said<Hint>;

/// The cues of one turn.
pub(super) fn cues(words: &[&str]) -> Vec<Cue> {
    PHRASES.said(words)
}

static PHRASES: LazyLock<Phrases<Hint>> = LazyLock::new(|| Phrases::new(TABLE.iter().map(|(hint, phrases)| (hint(), *phrases))));

/// A row of [`TABLE`]: what its phrases say, and the phrases, parted by commas.
type Row = (fn() -> Hint, &'static str);

const TABLE: &[Row] = &[
    (
        || Hint::Is(Kind::CreditCard),
        "card number, card, cards, credit card, debit card, card no, visa, mastercard, master card, amex, american express, discover, discover card, diners, long number, long number on the front, \
         sixteen digits, sixteen digit, fifteen digits, sixteen digit number, number on the front, numbers on the front, digits on the front, card ending, card ends in, card ending in, card digits, \
         credit card number, debit card number, payment method, my plastic, number across the front, numbers across the front, digits across the front, big number, charge it to, charge this to, run it on, \
         bill it to, put it on, put that on, put this on, deposit on, balance on, charge on, on the card, company card, corporate card, gift card number, pan",
    ),
    (
        || Hint::Is(Kind::Cvv),
        "cvv, cvc, cvv2, cvc2, cvn, cid, csc, cv2, c v v, c v c, c i d, security code, security digits, security number, card code, short code, cvv code, cvc code, cvv number, \
         three digits, three digit, three digit code, three digit number, three digits on the back, three little digits, little digits, little number, small number, small numbers, last three, last three digits, last three on the back, \
         digits on the back, number on the back, code on the back, numbers on the back, number at the back, code at the back, digits at the back, back of the card, three on the back, \
         back of my card, back number, back of it, back of the thing, verification thing, verification number, three small, three little, tiny number, tiny numbers, tiny digits, tiny code, little code, three on the strip, little three, turn the card over, flip the card over, turn it over, flip it over, verification digits, off the strip, the strip, signature strip, signature panel, signature line, next to the signature, by the signature, expiry and code, four digits on the front, four digit code on the front, four on the front, four digit code above, \
         four digits above, four small digits, above the card number, card verification, card verification value, verification value, card's security code, code from the back, verification code from the back, number on the reverse, code on the reverse",
    ),
    (
        || Hint::Is(Kind::Expiry),
        "expiry, expires, expire, expiring, expiring in, expiring on, expiration, expiration date, exp, exp date, valid until, valid through, valid thru, valid to, valid till, good through, good thru, good till, good to, \
         good until, goes until, runs out, run out, runs till, runs until, runs through, month and year, card expires, card expire, card runs out, expiry date, dies in, lapses, lapses in, month and the year, month slash year, m m y y, mmyy, mm yy, m m slash y y, date on it, date on the card, lasts until, end date on the card, date on the front",
    ),
    (
        || Hint::Is(Kind::Ssn),
        "social security, social security number, social, ssn, s s n, socials, soc, soc number, sosh, taxpayer, taxpayer id, tax id, tax i d, tax identification, tin, itin, last four of your social, last four of my social, \
         social insurance, ss number, tax number, employer id, ein, e i n, national insurance, full social, nine digit",
    ),
    (
        || Hint::Is(Kind::Phone),
        "phone, phone number, telephone, telephone number, cell, cell phone, cell number, cellphone, mobile, mobile number,  landline, land line, fax, fax number, fax line, callback number, call back number, \
         contact number, best number, good number, number to reach, number to call, number to text, ring you, ring me on, ring me at, reach you at, reach me at, reach me on, reach him at, reach her at, reach us at, phone numbers, whatsapp, whatsapp number, area code, \
         home number, work number, daytime number, evening number, work line, home line, direct line, direct number, texts to, text to, give me a ring, ring him on, ring her on, my number, your number, his number, her number, call me at, call me on, call her at, call him at, call us at, call us on, caller id, \
         number you're calling from, number i'm calling from, number you called from, callback, call back, call you back on, call you back at, call me back on, call me back at",
    ),
    (
        || Hint::MayBe(Kind::Phone),
        "call me, call you, call you back, call me back, call him, call her, call them, reach me, reach you, text me, text you, text him, text her, ring me, ring him, ring her, called me on, called you from, called from, called you on, dial, dialed, calling from, the number's, my digits, sms, pager, beeper, voicemail",
    ),
    (
        || Hint::Is(Kind::Pin),
        "pin, pin number, pin code, pins, passcode, pass code, one time code, one time password, one time passcode, one time pin, onetime code, verification code, verify code, access code, otp, o t p, 2fa, 2fa code, two factor, two factor code, two step code, authenticator, authenticator app, authentication code, \
         six digit code, four digit code, five digit code, eight digit code, six digits, code we sent, code we texted, code we emailed, code we just sent, code i got, code you sent, code you texted, code from the text, code in the text, text code, login code, sign in code, confirmation text, temporary code, \
         unlock code, voicemail code, alarm code, door code, gate code, disarm code, entry code, device code, security pin, account pin, atm pin, porting pin, port out pin, transfer pin, keypad code, code just came, code came through, code says, code reads, code is, code was, code i received, \
         the code, telephone pin, banking pin, secret number, secret code, safe code, lock code, reset code, activation code, backup code, recovery code, text says, message says, it texted me, they texted me",
    ),
    (|| Hint::MayBe(Kind::Zip), "area"),
    (|| Hint::MayBe(Kind::Cvv), "on the back, on back, on the reverse, small ones, little ones, small ones on the back"),
    (|| Hint::MayBe(Kind::Pin), "code, codes, texted, punch in, punched in, key in, keyed in"),
    (
        || Hint::Is(Kind::Routing),
        "routing, routing number, routing transit number, routing no, aba, aba number, a b a, transit number, transit, sort code, bank routing, rtn, r t n, wire number, bank code, ach number, ach routing, bank's number, bottom left of the check, bottom of the check, bottom left",
    ),
    (
        || Hint::Is(Kind::BankAccount),
        "account number, bank account, checking account, savings account, account, account no, acct, acct number, acct no, account ends, account ending, checking, savings, direct deposit, direct debit, accounts, payroll account, business account, joint account, \
         brokerage account, deposit account, bank acct, bank number, current account",
    ),
    (
        || Hint::Is(Kind::Zip),
        "zip, zip code, zipcode, zip codes, postal code, postcode, post code, zips, zip's, postal, billing zip, digits after the state, five digit zip, pin code area, post codes",
    ),
    (
        || Hint::Is(Kind::DateOfBirth),
        "born, born on, born in, birth, date of birth, birth date, birthdate, birthday, birthdays, birthday is, dob, d o b, d.o.b, bday, b day, year of birth, came into the world, turned eighteen on, was born",
    ),
    (
        || Hint::Is(Kind::Passport),
        "passport, passport number, passport no, passports, travel document, passport card, travel document number, passport book",
    ),
    (
        || Hint::Is(Kind::DriverLicense),
        "driver license, drivers license, driver licence, driver's, driving licence, driving license, drivers licence, license number, licence number, license, licence, dl, dl number, d l, d l number, driver's id, driver id, driver's permit, learner's permit, \
         learner permit, learners permit, learner, learners, state id, state id number, license no, license plate number, licence no",
    ),
    (
        || Hint::Is(Kind::Iban),
        "iban, ibans, i ban, i b a n, international bank account, international account number, international account, iban number, eye ban",
    ),
    (
        || Hint::Is(Kind::Ip),
        "ip address, ip, i p address, i p, ips, ip's, subnet, gateway, dns server, static address, server address, host address",
    ),
    (
        || Hint::Is(Kind::Email),
        "email, e mail, emails, mail, email address, mail address, e mail address, gmail, login, log in, username, user name, at sign",
    ),
    (
        || Hint::MayBe(Kind::Number),
        "ends in, ending in, ends with, ending with, ending, last four, last four digits, last 4, last 4 digits, last five, finishing in, finishes in, finished in, finishing with, tail, tail end, last bit, starts with, starts, starting with, begins with, beginning with, beginning, first four, first six, first four digits",
    ),
    (
        || Hint::Price,
        "price, priced, cost, costs, total, balance, paid, pay, bill, worth, charge, charged, fee, amount, refund, refunded, payment, payment of, salary, rent, deposit, withdrew, transferred, owed, owe, owes, invoice for, premium, copay, deductible, fine, tip, discount, budget",
    ),
    (
        || Hint::Harmless,
        "order, order number, orders, order no, order id, tracking, tracking number, tracking no, parcel, package, shipment, serial, serial number, serial no, sku, item, item number, part, part number, part no, vin, \
         model, model number, flight, flight number, case, case number, case no, case id, ticket, ticket number, ticket no, reference, reference number, reference no, ref, ref number, confirmation, confirmation number, confirmation code, invoice, \
         invoice number, invoice no, quote, quote number, version, build, sound check, mic check, mic test, testing, test one, count of three, count to, counting, counting to, count from, itinerary, itinerary number, record locator, locator, waybill, airway bill, bill of lading, docket, docket number, po, p o number, purchase order number, \
         catalog, product, product number, product code, promo code, promo, coupon, coupon code, discount code, error code, article, isbn, upc, barcode, bar code, batch number, lot number, work order number, \
         meter reading, meter number, meter, score, firmware, release, lot, batch, work order, purchase order, po number, claim, claim number, claim no, incident, incident number, request number, booking, booking number, booking reference, booking code, reservation, reservation number, \
         policy number, policy, member number, group number, plan number, loan number, permit, badge number, employee number, student number, asset tag, service tag, mpn, imei, mac, membership number, loyalty number, frequent flyer number, frequent flyer, job number, \
         dress code, error, error number, zip file, zip files, zip archive, zip tie, zip ties, zip bag, zip up, zip drive, zip line, zip lock, zip hoodie, zipped, card game, card games, card table, card reader, card shop, card stock, business card, business cards, index cards, greeting card, greeting cards, birthday card, \
         birthday cards, christmas cards, library card, playing cards, gift card for, gift cards for, trading cards, report card, memory card, sim card, sim cards, sd card, gift wrap, graphics card, score card, scorecard, social media, social worker, social workers, social event, social distancing, social club, social hour, social studies, \
         passport photo, passport photos, passport picture, passport office, passport size, passport renewal, passport control, birthday party, birthday cake, birthday gift, birthday present, birthday dinner, birthday parties, birth certificate, birth certificates, license plate, license plates, license fee, software license, software licenses, business license, \
         liquor license, fishing license, hunting license, marriage license, license renewal, licenses, mail room, mailroom, mail order, mail in, account balance, account manager, account executive, accounts payable, phone case, phone plan, phone bill, phone call, phone calls, phone tag, cell tower, mobile app, mobile home, mobile game, \
         pin it, pin that, pin this, pin the, pin down, pinned, bowling pin, safety pin, rolling pin, hair pin, pin cushion, area rug, dial tone, fax machine, fax machines, code of conduct, building code, building codes, dress codes, zip code map, code section, penal code, tax code, source code, qr code, bar codes, postal service, postal worker, area codes, \
         security deposit, social call, checking in, checking on, checking whether, checking if, checking out, checking my, checking the, checking up, savings of, savings on, routing software, routing slip, routing issue, routing error, transit time, in transit, transit authority, transit pass, rapid transit, public transit, social security office, social security check, social security benefits, \
         expiration policy, warranty, warranty expires, warranty expired, agreement expire, agreement expires, contract expire, lease expire, lease expires, lease runs out, contract expires, contract runs, offer expires, offer ends, coupon expires, promo expires, promotion expires, quote expires, quote is good, trial expires, membership expires, subscription expires, registration expires, insurance expires, plan expires, milk expires, medication expires, \
         prescription expires, points expire, miles expire, ticket expires, permit expires, license expires, certificate expires, visa expires, passport expires, policy expires, rate expires, deal expires, voucher expires, sale runs, supply runs out, ran out, runs out of, run out of, ran out of, hold until, wait until, waiting until, open until, closed until, not until, until then, up until, up to, stay until, here until, \
         there until, back until, delayed until, postponed until, pushed until, late until, consignment, consignment note, member id, member i d, group, social life, social skills, lease runs through, lease runs until, lease runs to, contract runs through, plan runs through, policy runs through, warranty runs through, term runs through, policy lapses, coverage lapses, insurance lapses, registration lapses, license lapses, membership lapses, ten pin, item code, order code, color code, colour code, country code, style code, fault code, status code, job code, cost code, area code for, dial code, model code, shop code, store code, plu code, category code, diagnosis code, procedure code, billing code, cpt code, due until, off until, out until, busy until, available until, valid for",
    ),
    (
        || Hint::Short,
        "extension, ext, room, gate, seat, page, chapter, option, press, pressed, united, delta, lufthansa, southwest, jetblue, bus, train, channel, running, step, line, highway, interstate, route, locker, aisle, bay, floor, level, unit, \
         apartment, suite, store number, store, location number, branch, terminal, platform, track, dock, lane, pump, table, booth, window, section, row, box, exit, mile marker, size, grade, form, section number, question, number one, zone, district, precinct, battalion, hotline, nine one one, dial 911, call 911, emergency, platform number, queue",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_phrase_wins_over_its_words() {
        let hints = |text: &str| cues(&text.split(' ').collect::<Vec<_>>()).into_iter().map(|cue| cue.what).collect::<Vec<_>>();
        assert_eq!(hints("the confirmation code is"), [Hint::Harmless]);
        assert_eq!(hints("the security code is"), [Hint::Is(Kind::Cvv)]);
        assert_eq!(hints("the driver's license"), [Hint::Is(Kind::DriverLicense)]);
        assert_eq!(hints("my card and my pin"), [Hint::Is(Kind::CreditCard), Hint::Is(Kind::Pin)]);
        assert_eq!(hints("hello there"), []);
    }
}
