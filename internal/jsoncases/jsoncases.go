// Package jsoncases has JSON texts, valid, invalid and debatable, for the tests of
// everything that reads or stores JSON.
//
// They cover the rules that public collections of such texts test, in the same three
// groups: texts that a reader must accept, texts that it must refuse, and texts for which
// the standards leave the choice to the reader.
package jsoncases

import "strings"

// Valid returns values that RFC 8259 permits, by a description of each.
func Valid() map[string]string {
	return map[string]string{
		"an empty array": `[]`, "an array of an empty array": `[[]]`, "an empty string in an array": `[""]`,
		"an array that ends in white space": `[1] `, "an array that begins with it": ` [1]`, "white space within": "[\t1\r\n, 2 ]",
		"all kinds of values": `[null,true,false,1,"1",{},[]]`, "only null": `[null]`, "several nulls": `[1,null,null,null,2]`,
		"zero": `[0]`, "minus zero": `[-0]`, "a negative integer": `[-123]`, "a negative one-digit integer": `[-1]`,
		"a fraction": `[123.456789]`, "a fraction of zeros": `[0.000]`, "a fraction close to zero": `[-0.` + strings.Repeat("0", 60) + `1]`,
		"an exponent": `[1e22]`, "a capital exponent": `[1E22]`, "an exponent with plus": `[1E+2]`, "an exponent with minus": `[1e-2]`,
		"a zero to an exponent": `[0e1]`, "a zero to an exponent with plus": `[0e+1]`, "a fraction to an exponent": `[123.456e78]`,
		"a number at the end of the text": `1`, "a negative real": `[-237462374673276894279832749832423479823246327846.0]`,
		"an empty object": `{}`, "a member without a name": `{"":0}`, "two members": `{"a":"b","c":"d"}`, "a long name and value": `{"` + strings.Repeat("n", 99) + `":"` + strings.Repeat("v", 99) + `"}`,
		"escaped NUL in a name": `{"foo\u0000bar":42}`, "an object across lines": "{\n\"a\":\n1\n}", "extreme numbers in an object": `{"min":-1.0e+28,"max":1.0e+28}`,
		"every simple escape": `["\"\\\/\b\f\n\r\t"]`, "an escaped backslash before a quote": `["\\"]`, "two of them": `["\\\\"]`, "an escaped quote": `["\""]`,
		"an escape in upper and lower case": `["\u00e9\u00E9"]`, "an escaped control character": `["\u0012"]`, "escaped NUL": `["\u0000"]`,
		"a surrogate pair": `["\uD801\udc37"]`, "two surrogate pairs": `["\ud83d\ude39\ud83d\udc8d"]`, "the last surrogate pair": `["\uDBFF\uDFFF"]`,
		"an escaped noncharacter": `["\uFFFF\uFDD0"]`, "an escaped byte order mark": `["\uFEFF"]`, "an escaped quote by number": `["\u0022"]`, "an escaped backslash by number": `["\u005C"]`,
		"DEL in a string": "[\"\x7f\"]", "characters of two to four bytes": `["é€𝄞"]`, "a noncharacter": "[\"\uffff\"]", "the last code point": "[\"\U0010ffff\"]", "a private one": "[\"\U0010fffd\"]",
		"line separators": "[\"\u2028\u2029\"]", "a no-break space in a string": "[\"\u00a0\"]", "a zero-width one": "[\"\u200b\"]", "a byte order mark in a string": "[\"\ufeff\"]",
		"what looks like a comment in a string": `["a/*b*/c/*d//e"]`, "what looks like JSON in a string": `["[{\"a\":1}]"]`, "text of web pages": `["</script>&amp;"]`,
		"a lone string": `"x"`, "a lone empty string": `""`, "a lone true": `true`, "a lone null": `null`, "a lone negative number": `-0.1`, "white space around": " \t\r\n{} \t\r\n",
	}
}

// Invalid returns texts that are not JSON, by a description of the error.
func Invalid() map[string]string {
	return map[string]string{
		"nothing": "", "a space": " ", "a lone bracket": "[", "a lone closing one": "]", "a closing brace": "}", "a lone quote": `"`, "a lone backslash": `\`, "a comma": ",", "a colon": ":", "an opening brace": "{", "a NUL": "\x00",
		"a missing comma": `[1 true]`, "no comma between strings": `["a" "b"]`, "a colon in an array": `["": 1]`, "a comma after an array": `[""],`, "a leading comma": `[,1]`, "two commas": `[1,,2]`, "a trailing comma": `[1,]`, "two trailing commas": `[1,,]`, "only a comma": `[,]`,
		"an unterminated array": `[1`, "one that ends after a comma": `[1,`, "one in a value": `[nul`, "one in a string": `["a`, "one with an array within": `[[1]`, "two ends": `[1]]`, "another kind of end": `[1}`, "an object that ends as an array": `{"a":1]`, "an unterminated array across lines": "[\"a\",\n4\n,1,",
		"a minus": `[-]`, "two minuses": `[--1]`, "a minus and a letter": `[-a]`, "a minus and a space": `[- 1]`, "a plus": `[+1]`, "two pluses": `[++1]`, "a leading zero": `[01]`, "a negative leading zero": `[-01]`, "two zeros": `[00]`, "a fraction without digits": `[1.]`, "a negative fraction without digits": `[-2.]`, "nothing before the point": `[.5]`, "a minus before the point": `[-.5]`, "two points": `[1.2.3]`,
		"an exponent without digits": `[1e]`, "one with only its sign": `[1e+]`, "with two": `[1e+-2]`, "of a fraction": `[1e1.5]`, "an exponent right after the point": `[1.e1]`, "two exponents": `[1e1e1]`, "a zero to nothing": `[0E]`, "hexadecimal": `[0x1F]`, "an octal": `[0o7]`, "digits grouped": `[1_000]`, "with a space": `[1 000]`, "an expression": `[1+2]`, "a full-width digit": "[\uff11]", "a letter after a number": `[12a]`, "a byte after a number": "[1\xe5]",
		"NaN": `[NaN]`, "minus NaN": `[-NaN]`, "Inf": `[Inf]`, "Infinity": `[Infinity]`, "minus Infinity": `[-Infinity]`, "plus Inf": `[+Inf]`,
		"true with a capital": `[True]`, "true in upper case": `[TRUE]`, "a truncated true": `[tru]`, "a truncated false": `[fals]`, "a truncated null": `[nul]`, "a longer true": `[truee]`, "undefined": `[undefined]`, "None": `[None]`, "two literals": `[truefalse]`, "a bare word": `[word]`,
		"a name without quotes": `{a:1}`, "in single quotes": `{'a':1}`, "a number for a name": `{1:1}`, "null for a name": `{null:null}`, "an array for a name": `{[]:1}`, "a missing colon": `{"a" 1}`, "two colons": `{"a"::1}`, "a comma for a colon": `{"a",1}`, "an equals sign for it": `{"a"="b"}`, "a missing value": `{"a":}`, "a value of nothing": `{"a":`, "a lone name": `{"a"`, "only a name": `{"a"}`, "a leading comma in an object": `{,"a":1}`, "a trailing one": `{"a":1,}`, "two trailing ones": `{"a":1,,}`, "two in between": `{"a":1,,"b":2}`, "no comma in an object": `{"a":1 "b":2}`, "a comma in place of the object's end": `{"a":1,`, "only a comma in an object": `{,}`, "an object with a value alone": `{1}`, "emoji for a name": `{🇨🇭}`, "an unterminated name": `{"a`,
		"single quotes": `['a']`, "an unescaped quote": `["a"b"]`, "an unescaped tab": "[\"\t\"]", "an unescaped newline": "[\"\n\"]", "an unescaped NUL": "[\"a\x00b\"]", "an unescaped US": "[\"\x1f\"]", "an escape in hexadecimal": `["\x41"]`, "an unknown escape": `["\a"]`, "an escaped single quote": `["\'"]`, "an escaped space": `["\ "]`, "an escaped NUL byte": "[\"\\\x00\"]", "an escaped tab byte": "[\"\\\t\"]", "an escaped emoji": `["\🌀"]`, "an octal escape": `["\101"]`, "an unterminated escape": `["\`, "one that ends the string": `["\"]`, "three backslashes": `["\\\"]`, "an escape of one letter": `["\u"]`, "of two digits": `["\u00"]`, "of three": `["\u00A"]`, "of no digit": `["\u00G0"]`, "a capital U": `["\U0041"]`, "a pair whose second is broken": `["\uD834\uDd"]`, "whose second breaks off": `["\uD834\u"]`, "a half and a broken escape": `["\uD800\x"]`, "an escape in braces": `["\u{1F600}"]`, "an escape outside of a string": `[\n]`, "an escaped bracket": `[\u005b]`,
		"text after an object": `{} x`, "a second object": `{}{}`, "a comment": `{}/* a */`, "a comment of a line": "{}// a", "a comment within": `[1/*a*/]`, "a hash": "[1]#", "a quote after an object": `{}"`, "a NUL after an object": "{}\x00", "two values": `1 2`, "a semicolon": `[1];`, "markup": `<a>`, "angle brackets": `<null>`, "braces for brackets": `[{]}`, "a star": `*`, "an open comment": `{"a":/*`,
		"a form feed": "[\f]", "a vertical tab": "[\v1]", "a no-break space": "[\u00a0]", "a line separator": "[\u2028]", "a word joiner": "[\u2060]", "an ideographic space": "[\u3000]", "a byte order mark after an object": "{}\ufeff",
		"a lone letter of two bytes": "é", "a truncated character": "\xc3", "an invalid byte": "[a\xe5]", "a byte alone": "\xff", "an invalid byte in a number": "[0\xe5]", "behind an exponent": "[1e1\xe5]", "behind an escape": "[\"\\u\xe5\"]", "behind a backslash": "[\"\\\xe5\"]",
		"endless arrays": strings.Repeat("[", 9_999), "endless objects": strings.Repeat(`{"":`, 9_999), "endless arrays and objects": strings.Repeat(`[{"":`, 4_999),
	}
}

// A Decision is how a text is treated for which the standards leave the choice.
type Decision uint8

const (
	// Kept texts are stored unchanged.
	Kept Decision = iota
	// Repaired texts have U+FFFD in place of invalid text.
	Repaired
	// Refused texts are not regarded as JSON: the request is refused.
	Refused
	// Deep texts cause a single event to be rejected.
	Deep
)

// A Choice is such a text and the decision about it.
type Choice struct {
	Text string
	Want Decision
}

// Choices returns the texts and the decisions, by a description of each.
func Choices() map[string]Choice {
	return map[string]Choice{
		"a number larger than any float":                {`[0.4e00669999999999999999999999999999999999]`, Kept},
		"one that is negative":                          {`[-1e+9999]`, Kept},
		"one by its exponent":                           {`[1.5e+9999]`, Kept},
		"one of 1e400":                                  {`[1e400]`, Kept},
		"one of 400 digits":                             {`[` + strings.Repeat("9", 400) + `]`, Kept},
		"one closer to zero than any float":             {`[123e-10000000]`, Kept},
		"one whose exponent overflows a word":           {`[123123e100000000000000000000]`, Kept},
		"a negative one of those":                       {`[-123123e100000]`, Kept},
		"an integer beyond 2^53":                        {`[9007199254740993]`, Kept},
		"an integer beyond 2^64":                        {`[100000000000000000000]`, Kept},
		"a negative one":                                {`[-123123123123123123123123123123]`, Kept},
		"an unpaired first half":                        {`["\uDADA"]`, Repaired},
		"an unpaired second half":                       {`["\uDFAA"]`, Repaired},
		"the halves in the other order":                 {`["\uDd1e\uD834"]`, Repaired},
		"a first half and text":                         {`["\uD800abc"]`, Repaired},
		"a first half and an escape":                    {`["\uD800\n"]`, Repaired},
		"a first half twice":                            {`["\uD800\uD800\n"]`, Repaired},
		"a first half and a letter's escape":            {`["\uD888\u1234"]`, Repaired},
		"a first half in lower case":                    {`["\ud83d"]`, Repaired},
		"a half in a name":                              {`{"\uDFAA":0}`, Repaired},
		"a first half at the end":                       {`["1\uD955"]`, Repaired},
		"a byte of Latin-1":                             {"[\"\xe9\"]", Repaired},
		"a continuation byte alone":                     {"[\"\x81\"]", Repaired},
		"a truncated character":                         {"[\"\xe0\xff\"]", Repaired},
		"a sequence truncated by the end of the string": {"[\"\xe6\x97\"]", Repaired},
		"an overlong slash of two bytes":                {"[\"\xc0\xaf\"]", Repaired},
		"an overlong one of six":                        {"[\"\xfc\x83\xbf\xbf\xbf\xbf\"]", Repaired},
		"an overlong NUL of six":                        {"[\"\xfc\x80\x80\x80\x80\x80\"]", Repaired},
		"a surrogate in UTF-8":                          {"[\"\xed\xa0\x80\"]", Repaired},
		"a code point beyond the last":                  {"[\"\xf4\xbf\xbf\xbf\"]", Repaired},
		"valid and invalid UTF-8 together":              {"[\"\u65e5\xd1\u0448\xfa\"]", Repaired},
		"an invalid byte in a name":                     {"{\"\xb9\":\"x\"}", Repaired},
		"UTF-16, little-endian":                         {"\xff\xfe[\x00\"\x00\xe9\x00\"\x00]\x00", Refused},
		"UTF-16, big-endian":                            {"\xfe\xff\x00[\x00\"\x00\xe9\x00\"\x00]", Refused},
		"UTF-16 without a byte order mark":              {"[\x00\"\x00\xe9\x00\"\x00]\x00", Refused},
		"a byte order mark before an empty object":      {"\ufeff{}", Refused},
		"a byte order mark alone":                       {"\ufeff", Refused},
		"500 arrays":                                    {strings.Repeat("[", 500) + strings.Repeat("]", 500), Deep},
		"arrays one deeper than an event may be":        {strings.Repeat("[", 200) + strings.Repeat("]", 200), Deep},
		"arrays as deep as an event may be":             {strings.Repeat("[", 199) + strings.Repeat("]", 199), Kept},
		"arrays deeper than a body may ever be":         {strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001), Refused},
	}
}
