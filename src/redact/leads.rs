//! What words say about a name, an address or a password near them: leads of the own party, and what the other party asked for.
//!
//! Promises: a lead is a phrase of the table below, the longest first; leads never say anything about a number.

use std::sync::LazyLock;

use super::phrases::{Phrases, Said};

/// What a lead says of the words near it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// A name follows, whatever the word is: `my name is`.
    Name,
    /// A name follows if the word may well be one: `this is`, `mister`.
    MayBeName,
    /// A name follows if the word is hardly anything else: `thanks`, `my sister`.
    HardlyName,
    /// A name follows if the word is one and nothing else: `with`, `for`.
    Near,
    /// A name stands before, if the word may well be one: `speaking`.
    NameBefore,
    /// The other party is asked for a name.
    AskName,
    /// The other party is asked to spell.
    AskSpelling,
    /// An address follows.
    Address,
    /// A place follows: an address if it begins with a number.
    MayBeAddress,
    /// The other party is asked for an address.
    AskAddress,
    /// A password follows.
    Password,
    /// The other party is asked for a password.
    AskPassword,
    /// A firm that is called like a person.
    Brand,
}

/// A lead in a turn.
pub(super) type LeadAt = Said<Lead>;

/// The leads of one turn.
pub(super) fn leads(words: &[&str]) -> Vec<LeadAt> {
    PHRASES.said(words)
}

static PHRASES: LazyLock<Phrases<Lead>> = LazyLock::new(|| Phrases::new(TABLE.iter().copied()));

const TABLE: &[(Lead, &str)] = &[
    (
        Lead::Name,
        "name is, names is, name's, name was, names, first name, last name, middle name, family name, given name, maiden name, surname, full name, first name is, last name is, middle name is, \
         family name is, given name is, maiden name is, surname is, surname's, full name is, first name's, last name's, name on the card is, name on the account is, name on the card, \
         name on the account, name on it is, name on the policy is, name on the file is, name on the card says, name under, under the name, under the name of, in the name of, by the name of, \
         name of, goes by, go by, i go by, known as, legal name is, the name, name would be, name should be, name will be, name spelled, name as, \
         account holder is, account holder's, policyholder is, policy holder is, cardholder is, card holder is, patient is, patient's name is, the patient, patient name, beneficiary is, \
         the beneficiary is, primary is, tenant is, owner is, registered to, made out to, payable to, addressed to, attention to, to the attention of, attn, care of, signed by, \
         speaking with, speaking to, you're speaking with, you're speaking to, you are speaking with, you are speaking to, you've got, you have reached, you've reached, the late, booking is under, reservation is under, it's under, account is under, policy is under, room is under, order is under, sign me up as, put me down as, me down as, registered as, married name, nickname is, son's name is, \
         daughter's name is, wife's name is, husband's name is, mother's name is, father's name is, child's name is, passenger is, passenger name, traveler is, guest is, guest name, \
         student is, student's name is, my supervisor is, supervisor's name is, manager's name is, rep's name was, agent's name was, they call me, calls me, call me, people call me, you can call me, just call me, \
         name and it's, name it's, named, called herself, called himself",
    ),
    (Lead::Name, "mr, mrs, ms, mister, missus, missis, doctor, dr, professor, prof"),
    (
        Lead::MayBeName,
        "this is, i'm, im, i am, it is, miss, reverend, father, officer, nurse, judge, captain, sergeant, \
         under, is under, through to, speak to, speak with, spoke to, spoke with, talk to, talk with, talked to, talked with, talking to, talking with, asking for, ask for, asked for, looking for, calling for, \
         behalf of, transfer me to, transfer you to, connect me to, connect me with, connect you with, connecting you to, put me through to, putting you through to, message for, \
         appointment with, appointment for, reservation for, booking for, ticket for, prescription for, package for, delivery for, letter for, meeting with, booked for, booked with, filed under, \
         listed under, it's under, account under, booked under, reservation under, account is under, everything is under, put it under, goes to, belongs to, in care of, ship it to, attention, \
         seen by, sent by, referred by, helped by, handled by, assigned to, beneficiary, co signer, cosigner, executor, trustee, landlord, signed, regards, yours truly, sincerely, \
         with me is, contact is, contact for, contact person is, emergency contact is, next of kin is, son is, daughter is, wife is, husband is, doctor is, dentist is, teacher is, agent is, driver is, manager is, \
         officer is, adviser is, advisor is, caller is, person is, you're, you are, are you, is this, am i speaking with, am i speaking to, am i talking to, is that",
    ),
    (
        Lead::HardlyName,
        "hi, hello, hey, thanks, thank you, thank you so much, morning, afternoon, evening, bye, goodbye, dear, welcome, alright, okay, ok, sorry, perfect, \
         my husband, my wife, my son, my daughter, my sister, my brother, my mother, my mom, my mum, my father, my dad, my partner, my friend, my boss, my neighbor, my neighbour, my colleague, my coworker, \
         my assistant, my roommate, my fiance, my fiancee, my lawyer, my attorney, my accountant, my landlord, my client, my aunt, my uncle, my cousin, my nephew, my niece, my grandson, my granddaughter, my grandma, \
         my grandmother, my grandfather, my grandpa, my stepson, my stepdaughter, my manager, my supervisor, my secretary, my caregiver, my doctor, my kid, my kids, my child, my girlfriend, my boyfriend, my ex, my late husband, \
         my late wife, his wife, her husband, his son, her son, his daughter, her daughter, our son, our daughter, our friend, our driver, our technician, his mother, her mother, little brother, big sister, older brother",
    ),
    (
        Lead::Near,
        "for, with, from, to, by, tell, ask, met, saw, help, between, contact, reach, call, called, calling, see, meet, transfer, put, add, remove, email, text, agent, rep, manager, supervisor, technician, driver, colleague, \
         representative, associate, operator, teammate, specialist, sir, madam, aunt, uncle, cousin, both, or, about, that's, that was, it was, it's, was, is, and, oh, so, well, right, great, yes, no, sure",
    ),
    (
        Lead::NameBefore,
        "speaking, speaking here, calling, here, calling from, here from, here with, on the line, here again, calling again, calling back, speaking how, from the, from customer, from accounts, from billing, from support",
    ),
    (
        Lead::AskName,
        "your name, your full name, your first name, your last name, your first and last name, your surname, your family name, your maiden name, your legal name, your good name, your name please, name please, name for me, \
         who am i speaking with, who am i speaking to, who i'm speaking with, who i'm speaking to, who i am speaking with, who am i talking to, who am i talking with, who i'm talking to, who do i have, who have i got, who i have, \
         whom am i speaking with, whom am i speaking to, who is this, who's this, who is calling, who's calling, who is speaking, who's speaking, who's on the line, who is on the line, and you are, you are, who are you, who should i say is calling, \
         may i ask who, can i ask who, could i ask who, who is it for, who's it for, who is that for, who is the account under, whose name, what name, which name, under what name, name on the account, name on the card, \
         name on the booking, name on the reservation, name on the policy, name on the order, name on file, name of the patient, name of the account holder, name of the cardholder, cardholder name, account holder's name, the patient's name, patient's full name, \
         child's name, guest's name, passenger's name, passenger name, emergency contact, next of kin, mother's maiden name, maiden name, the beneficiary, what should i call you, what do i call you, how should i address you, what can i call you, \
         what shall i call you, who is the card holder, who is the cardholder, who's the account holder, who is the account holder, who is the policyholder, and the name, the name please, first name, last name, full name, what's the name, what is the name, \
         what was the name, name and, who did you speak with, who did you speak to, who did you talk to, who helped you, who would you like to speak, who are you calling for, who are you trying to reach, who are we, who is the patient, who's the patient, \
         who would that be, who will be, who is traveling, who's traveling, who is driving, name it's under, name is it under, name is that under, name should i, name shall i, name do i, name goes on, name was that, and who is, and who's",
    ),
    (Lead::AskSpelling, "spell, spelled, spelling, letter by letter, how do you spell, phonetically"),
    (
        Lead::Brand,
        "ben and jerry's, sam's club, dick's, dick's sporting goods, trader joe's, jimmy john's, papa john's, little caesars, carl's jr, dave and buster's, johnson and johnson, wells fargo, jp morgan, j p morgan, morgan stanley, charles schwab, \
         edward jones, john deere, jack daniels, jack daniel's, johnnie walker, jim beam, captain morgan, harley davidson, victoria's secret, ralph lauren, calvin klein, tommy hilfiger, michael kors, kate spade, tory burch, louis vuitton, aunt jemima, uncle ben's, mrs butterworth's, \
         mary kay, martha stewart, betty crocker, dr pepper, doctor pepper, dr scholl's, sherwin williams, benjamin moore, johns hopkins, mayo clinic, saint jude, st jude, st john's, saint mary's, st mary's, saint joseph's, st joseph's, saint luke's, st luke's, merrill lynch, goldman sachs, t rowe price, dave ramsey, h and r block, \
         jackson hewitt, liberty mutual, john hancock, lincoln financial, martin luther king, george washington, victor valley, jiffy lube, pep boys, o'reilly's, o'reilly auto, barnes and noble, barnes noble, marks and spencer, john lewis, lloyd's, tim hortons, wendy's, \
         arby's, denny's, macy's, kohl's, lowe's, levi's, chili's, applebee's, popeye's, hardee's, friendly's, perkins, bob evans, culver's, zaxby's, raising cane's, domino's, papa murphy's, marie callender's, annie's, amy's, hershey's, reese's, campbell's, kellogg's, smucker's, ben franklin, rosetta stone, ashley furniture, \
         bob's discount, rooms to go, mattress firm, marshalls, tj maxx, t j maxx, claire's, joann, jo ann, michaels, hank's, joe's, tony's, mario's, luigi's, sal's, frank's, mama mia, jose cuervo, pro max, san jose, san diego, san antonio, san francisco, santa fe, santa clara, los angeles, las vegas, st louis, saint louis, st paul, saint paul, fort worth, fort wayne, fort lauderdale, king county, orange county, coco chanel, chanel, estee lauder, st patrick's day, saint patrick's day, valentine's day, mother's day, father's day, new year's",
    ),
    (
        Lead::Address,
        "place is, home is, flat is, address is, address's, address, my address, home address, mailing address, shipping address, billing address, street address, delivery address, service address, i live at, live at, lives at, living at, living on, live on, \
         lived at, used to be at, used to live at, moved to, moving to, moving from, staying at, located at, we're located at, we are at, we're at, house at, house is at, property at, apartment at, place at, deliver it to, deliver to, \
         delivered to, ship it to, ship to, ship that to, shipped to, send it to, send that to, send them to, mail it to, mail that to, mailed to, pick up at, pick me up at, pick up from, drop off at, drop it at, come to, come out to, going to, \
         one at, resides at, residing at, residence is, residence at, premises at, site at, corner of, intersection of, headed to, dispatch to, send someone to, send a truck to, send the driver to, the one on, house on, apartment on, flat at, flat on, \
         condo at, condo on, unit at, rental at, rental on, office at, office is at, shop at, clinic at, store at, goes to, going over to, it's at, it's on, that's at, over at, out at, up at, down at, house number, bill to, billed to, forward it to, forwarded to, registered at",
    ),
    (Lead::MayBeAddress, "at, to, on, from, is, it's, in, that's, for"),
    (
        Lead::AskAddress,
        "where should we, where do we, where do you want, where can we, where shall we, where would you like, where's the pickup, where's the pick up, where is the pick up, mail it where, send it where, deliver it where, which door, your address, your home address, your mailing address, your street address, your billing address, your shipping address, the address, the billing address, the shipping address, the delivery address, the service address, street address, home address, \
         mailing address, billing address, shipping address, delivery address, service address, current address, which property, what address, which address, where do you live, where are you located, where should we send, where should i send, where do we send, where do i send, \
         where can we send, where are we delivering, where are we sending, where should we deliver, where would you like it, where shall i send, where shall we send, where is it going, where's it going, where am i sending, where is the property, where's the property, \
         where are you, where is the house, what street, what city, which city, city and state, what town, where to, where's home, where is home, where is the pickup, where should the driver, where should i pick, pickup address, pick up address, drop off address, address please, address on file, address for",
    ),
    (
        Lead::Password,
        "password is, password's, password was, password to, password as, password it's, passphrase is, passphrase's, passphrase was, pass phrase is, pass phrase, passphrase, password colon, the password, my password, new password, old password, temporary password, temp password, \
         current password, wifi password, wi fi password, wifi password is, wi fi password is, network key is, security phrase is, security word is, secret word is, secret is, code word is, codeword is, safe word is, pass word is, password of, password equals, password reads, password should be, \
         password will be, password would be, password set to, it to password, wifi key, wi fi key, wifi key is,  pass word's, pass word, and password, password, logging in with, log in with, memorable word is, telephone password is, verbal password is, verbal password, passkey is, pass key is, wpa key is, network password is, password like, password again is, \
         password i use is, password i used is, password i set is, password i have is, password there is, password you gave me is, password you gave me was, security answer is, admin password",
    ),
    (
        Lead::AskPassword,
        "your password, the password, your passphrase, the passphrase, your security word, your verbal password, what password, which password, account password, telephone password, memorable word, secret word, code word, codeword, security phrase, security answer, \
         current password, new password, old password, wifi password, wi fi password, the network key, did you set it to, you set it to, wifi key, password please, security word please, security word, the passphrase you chose, passphrase you chose, password on file, password on the account, password you use, password are you, password do you, password would you, pass phrase, passphrase",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_phrase_leads() {
        let found =
            |text: &str| leads(&text.split(' ').collect::<Vec<_>>()).into_iter().map(|lead| lead.what).collect::<Vec<_>>();
        assert_eq!(found("my last name is"), [Lead::Name]);
        assert_eq!(found("may i take your name please"), [Lead::AskName]);
        assert_eq!(found("my address"), [Lead::Address]);
        assert_eq!(found("blue skies"), []);
    }
}
