// Package plan compares events with a tracking plan: which events there are, and which properties
// they have.
//
// A [Plan] is read from a file, by [Load] in the format of this package, or by [Segment] and
// [RudderStack] in those that they publish. [Plan.Check] says of an event what violates the plan,
// in words.
//
// # The format
//
//	{
//	  "name": "shop",
//	  "version": "2026-11",
//	  "rules": [
//	    {
//	      "type": "track",
//	      "event": "Order Completed",
//	      "schema": {
//	        "type": "object",
//	        "properties": {
//	          "properties": {
//	            "type": "object",
//	            "required": ["order_id", "total"],
//	            "properties": {
//	              "order_id": {"type": "string"},
//	              "total": {"type": "number", "minimum": 0}
//	            },
//	            "additionalProperties": false
//	          }
//	        }
//	      }
//	    }
//	  ]
//	}
//
// A rule is for the events of a type: those with a name, or all of them if "event" is left out,
// unless another rule has their name. The type "common" is for all events. "version", a number from
// 1 on, tells rules for the same event apart: an event is compared with the newest one, or with
// the one that it names in context.protocols.event_version. If no rule of the plan has a version
// above 1, what events name is ignored. Of the common rules, the newest is for all events, whatever
// version they name.
//
// The schema is for the event as a whole, as [inlet.Event.AppendJSON] writes it, so the properties
// of a track event are below "properties" and the traits of a user below "traits". Events without
// any are compared as if they had an empty object there. At the root, "additionalProperties" is
// about properties, traits and what a client has added to the event itself, not about the ids,
// times and the context that every event has.
//
// # What a schema may have
//
// JSON Schema, draft 07 or 2020-12 as "$schema" says, else 07. The keywords are type, properties,
// required, additionalProperties, items, enum, const, minimum, maximum, exclusiveMinimum,
// exclusiveMaximum, multipleOf, minLength, maxLength, pattern, minItems, maxItems, minProperties,
// maxProperties, format, allOf, and $ref to a place in the same schema. The event as a whole cannot
// have enum, const, minProperties and maxProperties. Any other keyword is an error when the plan is
// loaded, and so is a pattern that cannot be compared as it is meant; annotations, such as title
// and description, and names that begin with "x-" are ignored. See [LoadOptions] for schemas that
// need more.
//
// Numbers are compared by their digits, so that none is rounded.
//
// # What becomes of violations
//
// A plan has "modes", and so may a rule: a [Mode] for all violations, or an object with the mode of
// each [Kind]. Without any, violations are only observed. A [Judge] acts upon them, and counts;
// docs/PLAN.md has the steps from no plan to one that keeps bad events apart.
package plan
