SELECT date_trunc('minute', receivedAt) AS minute,
       if(type = 'track', event, type) AS event,
       count(*) AS count
FROM read_ndjson(?, ignore_errors = true,
                 columns = {type: 'VARCHAR', event: 'VARCHAR', receivedAt: 'TIMESTAMP'})
WHERE type IS NOT NULL
GROUP BY ALL
ORDER BY ALL
