package bench

// The forms are payloads with ${kind} or ${kind:label} where a value belongs;
// see [payload.value]. A name stands for the same value wherever it occurs in a
// payload, as the address of a page does in a real one.

const browserPage = `"page":{"path":"${path}","referrer":"https://www.example.com/","search":"${query}","title":"${title}","url":"https://${host}${path}${query}"}`

const trackForm = `{"timestamp":"${time}","integrations":{},"type":"track","event":"${event}",` +
	`"properties":{"sku":"${sku}","price":${price},"quantity":${digit},"currency":"EUR"},` +
	`"context":{` + browserPage + `,"locale":"${locale}","library":{"name":"analytics.js","version":"next-1.84.3"}},` +
	`"anonymousId":"${id:anonymous}",${user}"messageId":"ajs-next-${id:message}","writeKey":"${key}","sentAt":"${sent}"}`

const pageForm = `{"timestamp":"${time}","integrations":{},"type":"page","name":"${word}","category":"${word:category}",` +
	`"properties":{"path":"${path}","referrer":"https://www.example.com/","search":"${query}","title":"${title}","url":"https://${host}${path}${query}"},` +
	`"context":{` + browserPage + `,"userAgent":"${agent}",` +
	`"userAgentData":{"brands":[{"brand":"Chromium","version":"${major}"},{"brand":"Not)A;Brand","version":"8"}],"mobile":${bool},"platform":"Linux"},` +
	`"screen":{"width":1920,"height":1080},"locale":"${locale}","library":{"name":"analytics.js","version":"next-1.84.3"},` +
	`"campaign":{"source":"${word:source}","medium":"email","name":"${text}"}},` +
	`"anonymousId":"${id:anonymous}",${user}"messageId":"ajs-next-${id:message}","writeKey":"${key}","sentAt":"${sent}",` +
	`"_metadata":{"bundled":["Segment.io"],"unbundled":[],"bundledIds":[]}}`

const identifyForm = `{"timestamp":"${time}","integrations":{"All":true},"type":"identify","userId":"user-${number}",` +
	`"traits":{"email":"${word}.${number}@example.com","firstName":"${name}","lastName":"${name:last}","name":"${name} ${name:last}","title":"${word:title}",` +
	`"phone":"+42060${number:phone}","birthday":"1984-0${digit}-1${digit:day}","gender":"${word:gender}","language":"${locale}","age":${age},"verified":${bool},` +
	`"newsletter":${bool:news},"createdAt":"${time}","lastSeen":"${sent}","plan":"${word:plan}","orders":${digit:orders},"revenue":${price},"currency":"CZK",` +
	`"score":0.${number:score},"referrer":null,"bio":"${escaped}","note":"${escaped:note}","avatar":"https://${host}/a?u=${number}&s=64","website":"https://${host}${path}",` +
	`"tags":["${word:t1}","${word:t2}"],"cohort":"2026-${digit:cohort}","segment":"${word:segment}","username":"${word}${digit}",` +
	`"address":{"street":"${text}","city":"${name:city}","postalCode":"${age}0 00","country":"CZ"},` +
	`"company":{"id":${number:company},"name":"${text:company}","industry":"${word:industry}","employees":${number:employees},"plan":"${word:companyplan}"}},` +
	`"context":{"ip":"192.0.2.${age}","userAgent":"${agent}","locale":"${locale}","library":{"name":"analytics.js","version":"next-1.84.3"}},` +
	`"anonymousId":"${id:anonymous}","messageId":"ajs-next-${id:message}","writeKey":"${key}","sentAt":"${sent}",` +
	`"_metadata":{"bundled":["Segment.io"],"unbundled":[],"bundledIds":[]}}`

const segStreamForm = `{"hitId":"${id:message}","sentAt":"${time}",` +
	`"event":{"name":"Completed Transaction","category":"Ecommerce","user":{"anonymousId":"${id:anonymous}","userId":"user-${number}"},` +
	`"transaction":{"orderId":"${sku}","total":${price},"currency":"EUR"}},` +
	`"context":{"page":{"path":"${path}","search":"${query}","title":"${title}"},"screenWidth":1920},` +
	`"integrations":{"Google Analytics":{"clientId":"${number}.${number:client}"}}}`

// The members that both forms of a Commanders Act event share.
const (
	caData = `"value":${price},"currency":"EUR","url":"https://${host}${path}${query}","title":"${title}",` +
		`"items":[{"id":"${sku}","quantity":${digit},"variant":"${word}","product":{"id":"${sku}","name":"${text}","price":${price}}},` +
		`{"id":"${sku:b}","quantity":${digit:b},"variant":"${word:b}","product":{"id":"${sku:b}","name":"${text:b}","price":${price:b}}}],` +
		`"user":{"id":"${number}","email":"${word}@example.com","consent_categories":["1","3"]}`
	caMeta = `"event_id":"${id:message}","event_timestamp":${ms},` +
		`"page":{"title":"${title}","url":"https://${host}${path}${query}","lang":"${locale}","referrer":"https://www.example.com/","viewport":{"width":1280,"height":720}},` +
		`"device":{"user_agent":"${agent}","ip":"192.0.2.${age}","lang":"${locale}","cookie":"_fbp=fb.1.${ms}.${number}; _ga=GA1.2.${number:ga}"}`
	caV1Form = `{"event_name":"purchase",` + caMeta + `,"properties":{` + caData + `}}`
	caV2Form = `{"event_name":"purchase",` + caData + `,"context":{` + caMeta + `,"version":2}}`
)
