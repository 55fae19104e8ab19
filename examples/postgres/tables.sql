-- The same from typed tables: each event has a table, and each property a column.
WITH viewed AS (
  SELECT user_id, min("timestamp") AS at
  FROM inlet_example.product_viewed
  GROUP BY user_id
), added AS (
  SELECT e.user_id, min(e."timestamp") AS at
  FROM inlet_example.product_added e
  JOIN viewed v ON v.user_id = e.user_id AND e."timestamp" > v.at
  GROUP BY e.user_id
), ordered AS (
  SELECT e.user_id, sum(e.total) AS total
  FROM inlet_example.order_completed e
  JOIN added a ON a.user_id = e.user_id AND e."timestamp" > a.at
  GROUP BY e.user_id
)
SELECT 1 AS number, 'Product Viewed' AS step, count(*) AS people, '' AS revenue FROM viewed
UNION ALL
SELECT 2, 'Product Added', count(*), '' FROM added
UNION ALL
SELECT 3, 'Order Completed', count(*), coalesce(sum(total), 0)::text FROM ordered
ORDER BY number
