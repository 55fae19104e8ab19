-- From a product to an order, from one table. The payload is the whole event, as jsonb.
WITH viewed AS (
  SELECT user_id, min("timestamp") AS at
  FROM inlet_example_events
  WHERE type = 'track' AND name = 'Product Viewed'
  GROUP BY user_id
), added AS (
  SELECT e.user_id, min(e."timestamp") AS at
  FROM inlet_example_events e
  JOIN viewed v ON v.user_id = e.user_id AND e."timestamp" > v.at
  WHERE e.type = 'track' AND e.name = 'Product Added'
  GROUP BY e.user_id
), ordered AS (
  SELECT e.user_id, sum((e.payload -> 'properties' ->> 'total')::numeric) AS total
  FROM inlet_example_events e
  JOIN added a ON a.user_id = e.user_id AND e."timestamp" > a.at
  WHERE e.type = 'track' AND e.name = 'Order Completed'
  GROUP BY e.user_id
)
SELECT 1 AS number, 'Product Viewed' AS step, count(*) AS people, '' AS revenue FROM viewed
UNION ALL
SELECT 2, 'Product Added', count(*), '' FROM added
UNION ALL
SELECT 3, 'Order Completed', count(*), coalesce(sum(total), 0)::text FROM ordered
ORDER BY number
